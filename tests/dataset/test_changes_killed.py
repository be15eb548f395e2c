"""Changes of a dataset that are killed at any step: the dataset can be read, and the same call finishes later."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.dataset.test_ome_zarr import axes_of, describe, put, scaled
from tests.inputs import tree_state

import wkfast as wk
from wkfast import _core
from wkfast.errors import DatasetError, DatasetValueError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOXELS = np.arange(16**3, dtype="uint32").reshape(16, 16, 16)
MOST_STEPS = 60

# What changes names on a file system, as Python tells of it.
_EVENTS = {"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.symlink", "os.truncate"}


def dataset_at(folder: Path) -> wk.Dataset:
    dataset = wk.Dataset(folder, voxel_size=(1, 1, 1))
    for name in ("one", "two"):
        dataset.write_layer(name, "segmentation", VOXELS, downsample=False, chunk_shape=8, shard_shape=16)
    return dataset


def counted(function: Callable[..., Any], count: Callable[[], None]) -> Callable[..., Any]:
    """Return a function of the core whose steps Python does not tell of, as two: before it and after it."""

    def call(*arguments: Any) -> Any:
        count()
        result = function(*arguments)
        count()
        return result

    return call


class CountedDraft:
    """A file that is replaced as a whole: it is there or not, and so counted before and after."""

    def __init__(self, kind: Callable[..., Any], count: Callable[[], None], *target: Any) -> None:
        self._draft = kind(*target)
        self.put = counted(self._draft.put, count)
        self.release = self._draft.release


def killed_at(step: int, change: Callable[[], Any]) -> bool:
    """Make a change in a process that ends before its step of that number; return whether there was such a step."""
    child = os.fork()
    if child == 0:
        left = [step]

        def count() -> None:
            left[0] -= 1
            if left[0] < 0:
                os._exit(9)

        for name in ("exchange_folders", "remove_folder"):
            setattr(_core, name, counted(getattr(_core, name), count))
        _core.Draft = partial(CountedDraft, _core.Draft, count)
        sys.addaudithook(lambda event, _: count() if event in _EVENTS else None)
        try:
            change()
        except BaseException:  # noqa: BLE001 - the parent is told by the code
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in {0, 9}
    return code == 9


def rename(dataset: wk.Dataset) -> None:
    if "one" in dataset.layers:
        dataset.get_layer("one").name = "other"


def add_mag(dataset: wk.Dataset) -> None:
    if wk.Mag(2) not in dataset.get_layer("one").mags:
        dataset.get_layer("one").add_mag(2)


def add_layer(dataset: wk.Dataset) -> None:
    if "new" not in dataset.layers:
        dataset.add_layer("new", "color")


def delete_mag(dataset: wk.Dataset) -> None:
    if dataset.get_layer("one").mags:
        dataset.get_layer("one").delete_mag(1)


def delete_layer(dataset: wk.Dataset) -> None:
    if "one" in dataset.layers:
        dataset.delete_layer("one")


def write_layer(dataset: wk.Dataset) -> None:
    if "new" not in dataset.layers:
        dataset.write_layer("new", "segmentation", VOXELS, chunk_shape=8, shard_shape=16)


@pytest.mark.parametrize("change", [rename, add_mag, add_layer, write_layer, delete_mag, delete_layer])
def test_a_change_that_is_killed_at_any_step_can_be_repeated(
    tmp_path: Path, change: Callable[[wk.Dataset], None]
) -> None:
    whole = dataset_at(tmp_path / "whole")
    change(whole)
    steps = 0
    for step in range(MOST_STEPS):
        folder = tmp_path / f"killed at {step}"
        dataset_at(folder)
        if not killed_at(step, lambda folder=folder: change(wk.Dataset.open(folder))):
            break
        steps += 1
        found = wk.Dataset.open(folder)
        for layer in found.layers.values():
            for mag in layer.mags.values():
                if mag.name == "1":
                    np.testing.assert_array_equal(mag.read()[0], VOXELS)
        change(wk.Dataset.open(folder))
        again = wk.Dataset.open(folder)
        assert {name: [*layer.mags] for name, layer in again.layers.items()} == {
            name: [*layer.mags] for name, layer in whole.layers.items()
        }
        # What was deleted can be made again, and what was renamed be written.
        if "one" not in again.layers:
            again.add_layer("one", "segmentation", dtype="uint32")
        if wk.Mag(1) not in again.get_layer("one").mags:
            again.get_layer("one").add_mag(1, shard_shape=32).write(VOXELS, allow_resize=True)
        np.testing.assert_array_equal(again.get_layer("one").get_mag(1).read()[0], VOXELS)
        if "other" in again.layers:
            other = again.get_layer("other")
            other.add_mag(2)
            assert not other.path.is_symlink()
            np.testing.assert_array_equal(other.get_mag(1).read()[0], VOXELS)
    assert 0 < steps < MOST_STEPS


def new_dataset(folder: Path) -> None:
    wk.Dataset(folder, voxel_size=(1, 1, 1), exist_ok=True)


def shallow_copy(folder: Path) -> None:
    if not (folder / "datasource-properties.json").exists():
        wk.Dataset.open(folder.parent / "whole").shallow_copy_dataset(folder)


def image_at(folder: Path) -> None:
    describe(folder, "0.4", [{"axes": axes_of("zyx"), "datasets": scaled("0", 1.0, 1.0, 1.0)}])
    put(folder / "0", VOXELS.T, 2)


def of_ome_zarr(folder: Path) -> None:
    if not (folder / "datasource-properties.json").exists():
        wk.Dataset.from_ome_zarr(folder.parent / "image.zarr", folder)


@pytest.mark.parametrize("make", [new_dataset, shallow_copy, of_ome_zarr])
def test_a_dataset_whose_making_is_killed_at_any_step_is_none_or_whole_and_can_be_made_again(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    dataset_at(tmp_path / "whole")
    image_at(tmp_path / "image.zarr")
    one = [wk.Mag(1)]
    layers = {new_dataset: {}, shallow_copy: {"one": one, "two": one}, of_ome_zarr: {"image": one}}[make]
    steps = 0
    for step in range(MOST_STEPS):
        folder = tmp_path / f"killed at {step}"
        if not killed_at(step, lambda folder=folder: make(folder)):
            break
        steps += 1
        make(folder)
        made = wk.Dataset.open(folder)
        assert {name: [*layer.mags] for name, layer in made.layers.items()} == layers
        for layer in made.layers.values():
            np.testing.assert_array_equal(layer.get_mag(1).read_cxyz()[0], VOXELS)
    assert 0 < steps < MOST_STEPS


@pytest.mark.parametrize("exist_ok", [False, True])
def test_the_draft_that_a_killed_call_left_is_not_in_the_way_of_a_new_dataset(tmp_path: Path, exist_ok: bool) -> None:
    folder = tmp_path / "d"
    folder.mkdir()
    (folder / "datasource-properties.json.wkfast-part").write_text('{"id"')
    wk.Dataset(folder, voxel_size=(1, 1, 1), exist_ok=exist_ok)
    assert [each.name for each in folder.iterdir()] == ["datasource-properties.json"]
    with pytest.raises(DatasetError, match="something already"):
        wk.Dataset(folder, voxel_size=(1, 1, 1))


def test_what_lies_in_the_folder_of_a_new_dataset_is_still_in_its_way(tmp_path: Path) -> None:
    folder = tmp_path / "taken"
    folder.mkdir()
    for name in ("datasource-properties.json.wkfast-part", "mine"):
        (folder / name).touch()
    with pytest.raises(DatasetError, match="something already"):
        wk.Dataset(folder, voxel_size=(1, 1, 1), exist_ok=True)
    assert sorted(each.name for each in folder.iterdir()) == ["datasource-properties.json.wkfast-part", "mine"]


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_mag_of_chunks_too_large_is_refused_and_the_right_one_made_after_it(tmp_path: Path, data_format: str) -> None:
    box = wk.BoundingBox((0, 0, 0), VOXELS.shape)
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("one", "segmentation", dtype="uint32", data_format=data_format, bounding_box=box)
    before = tree_state(tmp_path)
    for shapes in ({"chunk_shape": 2048}, {"chunk_shape": 2048, "shard_shape": 2048}):
        with pytest.raises(DatasetValueError, match=r"mag 1 .*exceed"):
            layer.add_mag(1, **shapes)
        assert tree_state(tmp_path) == before
        assert not wk.Dataset.open(tmp_path / "d").get_layer("one").mags
    layer.add_mag(1, chunk_shape=16).write(VOXELS)
    np.testing.assert_array_equal(wk.Dataset.open(tmp_path / "d").get_layer("one").get_mag(1).read()[0], VOXELS)


def described(folder: Path, change: Callable[[dict[str, Any]], None]) -> wk.Dataset:
    file = folder / "datasource-properties.json"
    properties = json.loads(file.read_text())
    change(properties["dataLayers"][0])
    file.write_text(json.dumps(properties))
    return wk.Dataset.open(folder)


@pytest.mark.parametrize(
    "hostile",
    [
        {"name": "../victim"}, {"name": "../victim/two"}, {"name": "two/../../victim/one"}, {"name": ".."},
        {"mags": [{"mag": 1, "path": "../victim/one/1"}]}, {"mags": [{"mag": 1, "path": "./../victim/one/1"}]},
    ],
    ids=str,
)  # fmt: skip
def test_names_and_paths_lead_no_change_out_of_the_dataset(tmp_path: Path, hostile: dict[str, Any]) -> None:
    dataset_at(tmp_path / "victim")
    dataset_at(tmp_path / "d")
    before = tree_state(tmp_path / "victim")
    for change in (
        lambda layer: layer.dataset.delete_layer(layer.name),
        lambda layer: layer.delete_mag(1),
        lambda layer: setattr(layer, "name", "renamed"),
        lambda layer: layer.add_mag(2),
        lambda layer: layer.add_mag_for_existing_files(1),
        lambda layer: layer.downsample(coarsest_mag=wk.Mag(2)),
        lambda layer: layer.get_mag(1).write(VOXELS),
        lambda layer: layer.get_mag(1).rechunk(chunk_shape=16),
    ):
        with suppress(DatasetError):
            change(next(iter(described(tmp_path / "d", lambda one: one.update(hostile)).layers.values())))
        assert tree_state(tmp_path / "victim") == before


def test_nothing_is_written_behind_a_link(tmp_path: Path) -> None:
    """The group of a layer's folder, and new mags, went to where a link in its place led."""
    dataset_at(tmp_path / "victim")
    dataset = dataset_at(tmp_path / "d")
    layer = dataset.get_layer("one")
    layer.path.rename(tmp_path / "aside")
    layer.path.symlink_to(tmp_path / "victim/one")
    before = tree_state(tmp_path / "victim")
    np.testing.assert_array_equal(layer.get_mag(1).read()[0], VOXELS)
    for change in (
        lambda: layer.add_mag(2),
        lambda: layer.downsample(coarsest_mag=wk.Mag(2)),
        lambda: layer.get_mag(1).write(VOXELS),
        lambda: layer.get_mag(1).compress() or layer.get_mag(1).rechunk(chunk_shape=16),
    ):
        with pytest.raises(DatasetError):
            change()
        assert tree_state(tmp_path / "victim") == before
    layer.delete_mag(1)
    dataset.delete_layer("one")
    assert tree_state(tmp_path / "victim") == before
    assert [*dataset.layers] == ["two"]
