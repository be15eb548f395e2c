"""A layer has a place: what cannot be changed says so in one way, and views follow what their place holds now."""

from __future__ import annotations

import os
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast import _core
from wkfast.dataset.folder_place import FolderPlace
from wkfast.dataset.internals import locations_of
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.errors import DatasetError, DatasetValueError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

VOXELS = np.arange(32**3, dtype="uint32").reshape(32, 32, 32)


def dataset_at(folder: Path, data_format: str = "zarr3") -> wk.Dataset:
    dataset = wk.Dataset(folder, voxel_size=(1, 1, 1))
    # A compressed file of WKW has all its blocks: of the default shape, gigabytes of zeros.
    shard = None if data_format == "zarr" else 64
    dataset.write_layer(
        "one", "segmentation", VOXELS, data_format=data_format, downsample=False, chunk_shape=16, shard_shape=shard
    )
    return dataset


CHANGES: dict[str, Callable[[wk.Dataset], Any]] = {
    "name of the dataset": lambda d: setattr(d, "name", "x"),
    "add_layer": lambda d: d.add_layer("x", "color"),
    "add_layer of a name that is taken": lambda d: d.add_layer("one", "color"),
    "add_layer_like": lambda d: d.add_layer_like(d.get_layer("one"), "x"),
    "add_layer_as_copy": lambda d: d.add_layer_as_copy(d.get_layer("one"), "x"),
    "add_layer_for_existing_files": lambda d: d.add_layer_for_existing_files("one", "color"),
    "write_layer": lambda d: d.write_layer("x", "color", VOXELS),
    "delete_layer": lambda d: d.delete_layer("one"),
    "compress": lambda d: d.compress(),
    "downsample": lambda d: d.downsample(),
    "name": lambda d: setattr(d.get_layer("one"), "name", "x"),
    "name that is none": lambda d: setattr(d.get_layer("one"), "name", "a/b"),
    "bounding_box": lambda d: setattr(d.get_layer("one"), "bounding_box", wk.BoundingBox((0, 0, 0), (9, 9, 9))),
    "largest_segment_id": lambda d: setattr(d.get_layer("one"), "largest_segment_id", 7),
    "refresh_largest_segment_id": lambda d: d.get_segmentation_layer("one").refresh_largest_segment_id(),
    "add_mag": lambda d: d.get_layer("one").add_mag(2),
    "add_mag that there is": lambda d: d.get_layer("one").add_mag(1),
    "add_mag_for_existing_files": lambda d: d.get_layer("one").add_mag_for_existing_files(2),
    "add_mag_as_copy": lambda d: d.get_layer("one").add_mag_as_copy(d.get_layer("one").get_mag(1), mag=2),
    "delete_mag": lambda d: d.get_layer("one").delete_mag(1),
    "layer.downsample": lambda d: d.get_layer("one").downsample(),
    "downsample_mag onto itself": lambda d: d.get_layer("one").downsample_mag(wk.Mag(1), wk.Mag(1)),
    "downsample_mag_list": lambda d: d.get_layer("one").downsample_mag_list(wk.Mag(1), [wk.Mag(2)]),
    "redownsample": lambda d: d.get_layer("one").redownsample(),
    "write": lambda d: d.get_layer("one").get_mag(1).write(VOXELS),
    "write of a wrong shape": lambda d: d.get_layer("one").get_mag(1).write(np.zeros(3)),
    "rechunk": lambda d: d.get_layer("one").get_mag(1).rechunk(chunk_shape=8),
    "mag.compress": lambda d: d.get_layer("one").get_mag(1).compress(),
    "merge_with_view": lambda d: d.get_layer("one").get_mag(1).merge_with_view(d.get_layer("one").get_mag(1)),
    "a writable view": lambda d: d.get_layer("one").get_mag(1).get_view(read_only=False),
    "write of a view": lambda d: d.get_layer("one").get_mag(1).get_view().write(VOXELS),
}


@pytest.mark.parametrize("change", CHANGES)
def test_whatever_changes_a_read_only_dataset_raises_one_error(tmp_path: Path, change: str) -> None:
    """There were three classes, and some refused something else first."""
    dataset_at(tmp_path / "d")
    before = tree_state(tmp_path)
    with pytest.raises(ReadOnlyError, match="is read-only: ") as caught:
        CHANGES[change](wk.Dataset.open(tmp_path / "d", read_only=True))
    assert isinstance(caught.value, (RuntimeError, DatasetValueError))
    assert isinstance(caught.value, ValueError)
    assert tree_state(tmp_path) == before


def test_a_mag_is_made_only_of_voxels_of_its_layers_type(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path / "d")
    small = dataset.write_layer("small", "color", VOXELS.astype("uint8"), downsample=False)
    before = tree_state(tmp_path)
    for call in (
        lambda: small.downsample_mag(wk.Mag(1), wk.Mag(2), from_mag_view=dataset.get_layer("one").get_mag(1)),
        lambda: small.downsample(coarsest_mag=wk.Mag(2), from_mag_view=dataset.get_layer("one").get_mag(1)),
    ):
        with pytest.raises(DatasetValueError, match="uint32"):
            call()
    assert tree_state(tmp_path) == before


def test_mags_are_opened_when_they_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dataset_at(tmp_path / "d").get_layer("one").downsample(coarsest_mag=wk.Mag(4))
    opened = []
    place_open = FolderPlace.open
    monkeypatch.setattr(FolderPlace, "open", lambda *given: opened.append(given[2]) or place_open(*given))
    layer = wk.Dataset.open(tmp_path / "d").get_layer("one")
    assert len(layer.mags) == 3
    assert [*layer.mags] == [wk.Mag(1), wk.Mag(2), wk.Mag(4)]
    assert opened == []
    for _ in range(3):
        layer.get_mag(2).read(relative_offset=(0, 0, 0), size=(2, 2, 2))
        layer.mags[wk.Mag(2)].read(relative_offset=(0, 0, 0), size=(2, 2, 2))
    assert opened == [wk.Mag(2)]


def test_what_is_looked_up_again_is_the_same_until_something_changes(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path / "d")
    layer, mag = dataset.get_layer("one"), dataset.get_layer("one").get_mag(1)
    assert dataset.get_layer("one") is layer is dataset.layers["one"]
    assert layer.get_mag("1") is layer.get_mag(wk.Mag(1)) is mag
    assert layer.bounding_box is layer.bounding_box
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (40, 40, 40))
    assert (mag.bounding_box, layer.bounding_box) == (wk.BoundingBox((0, 0, 0), (40, 40, 40)),) * 2
    dataset.delete_layer("one")
    with pytest.raises(IndexError):
        dataset.get_layer("one")
    again = dataset.add_layer("one", "color")
    assert again is not layer
    with pytest.raises(IndexError):
        dataset.get_layer("one").get_mag(1)


def test_layers_and_mags_travel_to_other_processes(tmp_path: Path) -> None:
    mag = dataset_at(tmp_path / "d").get_layer("one").get_mag(1)
    mag.read()
    for one in (mag, mag.get_view(size=(32, 32, 32))):
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(one)).read()[0], VOXELS)


def test_an_array_that_keeps_zeros_grows_with_its_layer(tmp_path: Path) -> None:
    dataset = dataset_at(tmp_path / "d")
    dataset.get_layer("one")._change(lambda entry: entry.json.update(wkfastKeepsZeros=True))
    layer = wk.Dataset.open(tmp_path / "d").get_layer("one")
    assert isinstance(layer.get_mag(1)._source, KeepsZeros)
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (1500, 200, 100))
    assert layer.get_mag(1).get_zarr_array().shape[-3:] == (1536, 256, 128)


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_mag_that_was_replaced_is_read_in_its_new_form(tmp_path: Path, data_format: str) -> None:
    """A view that was opened before got errors of decoders, or chunks of one form read as another."""
    mag = dataset_at(tmp_path / "d", data_format).get_layer("one").get_mag(1)
    np.testing.assert_array_equal(mag.read()[0], VOXELS)
    wk.Dataset.open(tmp_path / "d").get_layer("one").get_mag(1).rechunk(
        chunk_shape=8, shard_shape=None if data_format == "zarr" else 64, compress=False
    )
    np.testing.assert_array_equal(mag.read()[0], VOXELS)
    assert mag.info.chunk_shape == wk.Vec3Int(8, 8, 8)


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_voxel_of_a_chunk_that_was_kept_is_the_one_that_is_there_now(tmp_path: Path, data_format: str) -> None:
    """Small reads keep decoded chunks of files that have not changed for a while."""
    mag = dataset_at(tmp_path / "d", data_format).get_layer("one").get_mag(1)

    def voxel() -> int:
        return int(mag.read(absolute_offset=(1, 2, 3), size=(1, 1, 1)).item())

    def let_settle() -> None:
        for file in (tmp_path / "d").rglob("*"):
            if file.is_file():
                os.utime(file, (1_600_000_000, 1_600_000_000))

    for value in (1, 2, 3):
        mag.write(np.full((32, 32, 32), value, VOXELS.dtype))
        let_settle()
        assert [voxel(), voxel()] == [value, value]
    for file in (tmp_path / "d").rglob("*"):
        if file.is_file() and file.name not in {"datasource-properties.json", "zarr.json", ".zarray", "header.wkw"}:
            file.unlink()
    mag.write(np.zeros((32, 32, 32), VOXELS.dtype))
    assert voxel() == 0


def test_a_mag_whose_folder_cannot_go_yet_is_gone_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where somebody reads, some file systems keep a part of a folder: the name was taken, and stayed so."""
    layer = dataset_at(tmp_path / "d").get_layer("one")

    def put_aside(folder: Path, _within: Path | None) -> None:
        if folder.exists():
            folder.rename(folder.with_name(f".{folder.name}.wkfast-gone"))

    with monkeypatch.context() as patch:
        patch.setattr(_core, "remove_folder", put_aside)
        layer.delete_mag(1)
        assert layer.mags == {}
        layer.add_mag(1, chunk_shape=8, shard_shape=32).write(VOXELS)
    np.testing.assert_array_equal(layer.get_mag(1).read()[0], VOXELS)
    layer.delete_mag(1)
    assert [each.name for each in layer.path.iterdir() if each.is_dir()] == []


def test_a_core_mag_is_what_a_folder_opens(tmp_path: Path) -> None:
    layer = dataset_at(tmp_path / "d").get_layer("one")
    twin = _core.Mag.open(locations_of(layer)[0])
    np.testing.assert_array_equal(layer.get_mag(1).read(), twin.read((0, 0, 0), (32, 32, 32)))
    with pytest.raises(DatasetError, match="leads out"):
        layer._place.own(tmp_path / "d/../x", "x")
