"""Entries of ``datasource-properties.json`` may name any folder: what is deleted or replaced is nobody else's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.inputs import tree_state

import wkfast as wk
from wkfast import _core
from wkfast.errors import DatasetError

VOXELS = np.arange(16**3, dtype="uint32").reshape(16, 16, 16)


def two_layers(folder: Path) -> wk.Dataset:
    dataset = wk.Dataset(folder / "dataset", voxel_size=(1, 1, 1))
    for name in ("one", "two"):
        dataset.write_layer(name, "segmentation", VOXELS, downsample=False, chunk_shape=8, shard_shape=16)
    return dataset


def with_entry(dataset: wk.Dataset, change: Callable[[dict[str, Any]], None]) -> wk.Dataset:
    """The dataset with the entry of its first layer changed by hand."""
    file = dataset.path / "datasource-properties.json"
    properties = json.loads(file.read_text())
    change(properties["dataLayers"][0])
    file.write_text(json.dumps(properties))
    return wk.Dataset.open(dataset.path)


def voxels_of(dataset: wk.Dataset, layer: str) -> np.ndarray:
    return dataset.get_layer(layer).get_mag(1).read()[0]


def array_in(folder: Path, mag: Path) -> None:
    """Move the files of a mag into another folder."""
    for file in mag.iterdir():
        shutil.move(file, folder / file.name)
    mag.rmdir()


@pytest.mark.parametrize("name", [".", "two/..", "./", "two/.", "two"])
def test_a_layer_takes_no_other_along_when_it_is_deleted(tmp_path: Path, name: str) -> None:
    """Deleting a layer called "." deleted the whole dataset, one called "two/." the other layer."""
    dataset = two_layers(tmp_path)
    if name == "two":
        dataset = with_entry(dataset, lambda one: one["mags"][0].update(path="./two/1"))
    else:
        dataset = with_entry(dataset, lambda one: one.update(name=name))
    kept = "one" if name == "two" else "two"
    dataset.delete_layer(name)
    assert [*wk.Dataset.open(dataset.path).layers] == [kept]
    np.testing.assert_array_equal(voxels_of(wk.Dataset.open(dataset.path), kept), VOXELS)


@pytest.mark.parametrize("path", ["./two/1", "two", ".", "./two/../two/1"])
def test_a_mag_takes_no_other_along_when_it_is_deleted(tmp_path: Path, path: str) -> None:
    dataset = with_entry(two_layers(tmp_path), lambda one: one["mags"][0].update(path=path))
    before = tree_state(dataset.path / "two")
    dataset.get_layer("one").delete_mag(1)
    assert wk.Dataset.open(dataset.path).get_layer("one").mags == {}
    assert tree_state(dataset.path / "two") == before


def test_a_link_is_deleted_and_replaced_and_its_target_stays(tmp_path: Path) -> None:
    dataset = two_layers(tmp_path)
    link = dataset.path / "one/1"
    target = tree_state(dataset.path / "two")
    for change in ("rechunk", "rechunk again", "delete"):
        shutil.rmtree(link)
        link.symlink_to("../two/1")
        if change == "delete":
            dataset.get_layer("one").delete_mag(1)
            assert not link.is_symlink()
        else:
            dataset.get_layer("one").get_mag(1).rechunk(shard_shape=8)
            np.testing.assert_array_equal(voxels_of(dataset, "one"), VOXELS)
        assert [entry.name for entry in link.parent.iterdir() if entry.name.startswith(".")] == []
        assert tree_state(dataset.path / "two") == target


@pytest.mark.parametrize("path", [".", "./one"])
def test_a_folder_with_other_data_is_not_put_in_the_place_of_a_mag(tmp_path: Path, path: str) -> None:
    """Cutting an array anew that lies in the dataset's folder replaced the whole dataset by it."""
    dataset = two_layers(tmp_path)
    if path == "./one":
        dataset.get_layer("one").downsample(coarsest_mag=wk.Mag(2))
    array_in(dataset.path / path, dataset.path / "one/1")
    dataset = with_entry(dataset, lambda one: one["mags"][0].update(path=path))
    mag, other = dataset.get_layer("one").get_mag(1), dataset.get_layer("two").get_mag(1)
    other.rechunk(shard_shape=8)
    before = tree_state(dataset.path)
    for change in (lambda: mag.rechunk(shard_shape=8), lambda: mag.merge_with_view(other)):
        with pytest.raises(DatasetError, match="other mags or layers"):
            change()
    assert tree_state(dataset.path) == before


def test_an_array_in_the_layers_folder_stays_one(tmp_path: Path) -> None:
    """The group that a new mag makes of its layer's folder was written over the metadata of the array there."""
    dataset = two_layers(tmp_path)
    array_in(dataset.path / "one", dataset.path / "one/1")
    dataset = with_entry(dataset, lambda one: one["mags"][0].update(path="./one"))
    dataset.get_layer("one").downsample(coarsest_mag=wk.Mag(2))
    np.testing.assert_array_equal(voxels_of(dataset, "one"), VOXELS)


def test_a_damaged_mag_can_be_deleted(tmp_path: Path) -> None:
    dataset = two_layers(tmp_path)
    (dataset.path / "one/1/zarr.json").write_text("{")
    shutil.rmtree(dataset.path / "two/1")
    for name in ("one", "two"):
        dataset.get_layer(name).delete_mag(1)
        assert wk.Dataset.open(dataset.path).get_layer(name).mags == {}
    assert not (dataset.path / "one/1").exists()


def test_files_elsewhere_are_not_listed_by_a_link(tmp_path: Path) -> None:
    """The mag was listed before the error, and the layer could not be read from then on."""
    dataset = two_layers(tmp_path)
    layer = dataset.get_layer("one")
    (tmp_path / "elsewhere").mkdir()
    shutil.copytree(dataset.path / "two/1", tmp_path / "elsewhere/2")
    (layer.path / "2").symlink_to(tmp_path / "elsewhere/2")
    with pytest.raises(DatasetError, match="leads out"):
        layer.add_mag_for_existing_files(2)
    assert [*layer.mags] == [wk.Mag(1)]


@pytest.mark.parametrize("refused", ["one", "datasource-properties.json"])
def test_a_layer_that_cannot_be_renamed_stays_what_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """The new name was written down before the folder was found not to move."""
    dataset = two_layers(tmp_path)
    layer, before = dataset.get_layer("one"), tree_state(dataset.path)
    exchange = _core.exchange_folders

    def refuse(path: Path, target: Path, within: Path) -> Any:
        if refused in {path.name, target.name}:
            raise PermissionError(path)
        return exchange(path, target, within)

    class Refused:
        def __init__(self, target: Path, within: Path | None = None) -> None:
            self._draft = draft(target, within)
            self.release = self._draft.release
            self._target = target

        def put(self, _content: bytes) -> None:
            raise PermissionError(self._target)

    draft = _core.Draft
    if refused.endswith(".json"):
        monkeypatch.setattr(_core, "Draft", Refused)
    else:
        monkeypatch.setattr(_core, "exchange_folders", refuse)
    with pytest.raises(PermissionError):
        layer.name = "other"
    monkeypatch.undo()
    assert tree_state(dataset.path) == before
    assert (layer.name, [*dataset.layers]) == ("one", ["one", "two"])
    np.testing.assert_array_equal(voxels_of(dataset, "one"), VOXELS)


def test_mags_in_a_renamed_folder_are_found_by_other_layers(tmp_path: Path) -> None:
    dataset = with_entry(two_layers(tmp_path), lambda one: one["mags"][0].update(path="./two/1"))
    one = dataset.get_layer("one")
    dataset.get_layer("two").name = "three"
    for again in (dataset, wk.Dataset.open(dataset.path)):
        np.testing.assert_array_equal(voxels_of(again, "one"), VOXELS)
        np.testing.assert_array_equal(voxels_of(again, "three"), VOXELS)
    np.testing.assert_array_equal(one.get_mag(1).read()[0], VOXELS)
