"""What is left where folders change places in several steps, as on network mounts, and a call is killed between two."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wkfast as wk

if TYPE_CHECKING:
    from pathlib import Path

VOXELS = np.arange(32**3, dtype=np.uint32).reshape(1, 32, 32, 32)


@pytest.fixture
def dataset(tmp_path) -> wk.Dataset:
    made = wk.Dataset(tmp_path / "dataset", voxel_size=(1, 1, 1))
    made.write_layer("one", "segmentation", VOXELS, downsample=False, data_format="wkw")
    return made


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "zarr.json")


def voxels(folder: Path, layer: str) -> np.ndarray:
    return wk.Dataset.open(folder).get_layer(layer).get_mag(1).read()


def test_a_mag_that_was_moved_aside_is_read_and_has_its_name_again(dataset):
    folder = dataset.path / "one/1"
    folder.rename(folder.with_name("1.wkfast-old"))
    np.testing.assert_array_equal(voxels(dataset.path, "one"), VOXELS)
    assert names(folder.parent) == ["1"]


def test_what_was_replaced_by_a_killed_call_is_in_nobodys_way(dataset):
    layer = dataset.get_layer("one")
    (layer.path / "1.wkfast-old").mkdir()
    (layer.path / "1.wkfast-old/header.wkw").write_bytes(b"of before")
    layer.get_mag(1).rechunk(chunk_shape=16, shard_shape=32)
    np.testing.assert_array_equal(voxels(dataset.path, "one"), VOXELS)


def test_a_mag_that_was_moved_aside_goes_with_its_mag(dataset):
    folder = dataset.path / "one/1"
    folder.rename(folder.with_name("1.wkfast-old"))
    layer = wk.Dataset.open(dataset.path).get_layer("one")
    layer.delete_mag(1)
    assert not list(layer.path.glob("1*"))


@pytest.mark.parametrize("look_first", [True, False])
def test_a_renaming_that_was_killed_between_its_steps_is_completed(dataset, look_first):
    file = dataset.path / "datasource-properties.json"
    (layer,) = json.loads(file.read_text())["dataLayers"]
    layer["name"], layer["mags"][0]["path"] = "other", "./other/1"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"dataLayers": [layer]}))
    (dataset.path / "other.wkfast-old").symlink_to("one")
    if look_first:
        np.testing.assert_array_equal(voxels(dataset.path, "other"), VOXELS)
    wk.Dataset.open(dataset.path).add_layer("next", "color")
    np.testing.assert_array_equal(voxels(dataset.path, "other"), VOXELS)
    assert not (dataset.path / "other").is_symlink()
    assert names(dataset.path) == ["datasource-properties.json", "next", "other"]


@pytest.mark.parametrize("length", [200, 226, 243, 255])
def test_layers_with_names_as_long_as_they_may_be_are_changed_as_others(dataset, length):
    name = "q" * length
    layer = dataset.write_layer(name, "segmentation", VOXELS, downsample=False, data_format="wkw")
    layer.get_mag(1).rechunk(chunk_shape=16, shard_shape=32)
    layer.downsample(coarsest_mag=wk.Mag(2))
    layer.name = "r" * length
    np.testing.assert_array_equal(voxels(dataset.path, "r" * length), VOXELS)
    wk.Dataset.open(dataset.path).get_layer("r" * length).name = name
    dataset = wk.Dataset.open(dataset.path)
    dataset.delete_layer(name)
    dataset.add_layer(name, "color")
    dataset.delete_layer(name)
    assert names(dataset.path) == ["datasource-properties.json", "one"]


def test_a_layer_of_more_axes_than_are_read_is_not_added(dataset):
    def box(count: int) -> wk.NDBoundingBox:
        axes = [f"a{number}" for number in range(count)] + ["x", "y", "z"]
        return wk.NDBoundingBox((0,) * len(axes), (1,) * len(axes), axes, range(1, len(axes) + 1))

    with pytest.raises(ValueError, match="64 additional axes; 63 can be"):
        dataset.add_layer("many", "color", bounding_box=box(64), data_format="zarr3")
    assert list(wk.Dataset.open(dataset.path).layers) == ["one"]
    dataset.add_layer("most", "color", bounding_box=box(63), data_format="zarr3")
    assert len(wk.Dataset.open(dataset.path).get_layer("most").bounding_box.axes) == 67
