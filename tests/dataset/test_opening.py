"""Layers from a folder, an array or another package's layer."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import zarr
from tests.inputs import tree_state

import wkfast as wk
from wkfast.dataset import open_layer
from wkfast.errors import DatasetError, DatasetNotFoundError


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_an_array_of_zarr_is_a_layer(tmp_path: Path, zarr_format: int) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=(20, 30, 40), chunks=(8, 8, 8), dtype="uint16", zarr_format=zarr_format
    )
    array[:] = np.arange(24000, dtype="uint16").reshape(20, 30, 40)
    before = tree_state(tmp_path)
    layer = open_layer(array, axes="zyx")
    assert isinstance(layer, wk.SegmentationLayer)
    assert layer.bounding_box == wk.BoundingBox((0, 0, 0), (40, 30, 20))
    np.testing.assert_array_equal(layer.get_mag(1).read_cxyz()[0], array[:].T)
    np.testing.assert_array_equal(layer.get_mag(1).read(), array[:])
    with pytest.raises(DatasetError, match="read-only"):
        layer.get_mag(1).write(np.zeros((1, 1, 1), "uint16"), allow_unaligned=True)
    assert tree_state(tmp_path) == before


def test_names_of_dimensions_say_what_axes_are(tmp_path: Path) -> None:
    array = zarr.create_array(
        tmp_path / "a", shape=(3, 10, 20, 30), chunks=(3, 8, 8, 8), dtype="uint8", dimension_names=["c", "z", "y", "x"]
    )
    array[:] = 5
    layer = open_layer(str(tmp_path / "a"), mag="2-2-1")
    assert (layer.category, layer.num_channels) == ("color", 3)
    assert layer.bounding_box == wk.BoundingBox((0, 0, 0), (60, 40, 10))
    assert layer.get_mag("2-2-1").read().shape == (3, 30, 20, 10)


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_folders_of_layers_and_mags_are_layers(tmp_path: Path, data_format: str) -> None:
    dataset = wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40))
    layer = dataset.write_layer("labels", "segmentation", np.full((32, 32, 32), 3, "uint8"), data_format=data_format,
                                downsample=False)  # fmt: skip
    assert open_layer(layer) is layer
    other = SimpleNamespace(name="labels", dataset=SimpleNamespace(path=dataset.path))
    for source in (layer.path, str(layer.path), other):
        assert open_layer(source).get_mag(1).content_is_equal(layer.get_mag(1))
    alone = open_layer(layer.get_mag(1).path)
    assert alone.get_mag(1).read(absolute_offset=(0, 0, 0), size=(32, 32, 32)).sum() == 3 * 32**3


def test_what_is_no_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetNotFoundError, match="neither a layer"):
        open_layer(tmp_path)
    with pytest.raises(DatasetError, match="save it to one first"):
        open_layer(np.zeros((3, 3, 3)))
    with pytest.raises(DatasetError, match="save it to one first"):
        open_layer(zarr.create_array({}, shape=(3, 3, 3), dtype="uint8"))


MULTISCALES = {
    "0.5": (3, "zarr.json", [{"name": axis} for axis in "czyx"]),
    "0.4": (2, ".zattrs", [{"name": axis} for axis in "czyx"]),
    "0.3": (2, ".zattrs", list("czyx")),
}


@pytest.mark.parametrize("depth", ["0", "scale/0"])
@pytest.mark.parametrize("version", MULTISCALES)
def test_axes_are_those_of_the_group_where_an_array_does_not_name_them(
    tmp_path: Path, version: str, depth: str
) -> None:
    zarr_format, name, axes = MULTISCALES[version]
    array = zarr.create_array(
        tmp_path / depth, shape=(2, 10, 11, 12), chunks=(1, 4, 4, 4), dtype="uint8", zarr_format=zarr_format
    )
    array[:] = np.arange(2640).astype("uint8").reshape(2, 10, 11, 12)
    images = [{"axes": axes, "datasets": [{"path": "other"}, {"path": depth}]}]
    group: dict = {"multiscales": images}
    if zarr_format == 3:
        group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": version, **group}}}
    (tmp_path / name).write_text(json.dumps(group))
    layer = open_layer(tmp_path / depth)
    assert layer.bounding_box == wk.BoundingBox((0, 0, 0), (12, 11, 10))
    np.testing.assert_array_equal(layer.get_mag(1).read_cxyz(), array[:].transpose(0, 3, 2, 1))


def test_groups_that_name_no_axes_have_those_of_their_time_or_are_refused(tmp_path: Path) -> None:
    shape = (1, 2, 10, 11, 12)
    array = zarr.create_array(tmp_path / "0", shape=shape, chunks=(1, 1, 4, 4, 4), dtype="uint8", zarr_format=2)
    array[:] = np.arange(2640).astype("uint8").reshape(shape)
    (tmp_path / ".zattrs").write_text(json.dumps({"multiscales": [{"datasets": [{"path": "0"}]}]}))
    np.testing.assert_array_equal(open_layer(array).get_mag(1).read_cxyz(), array[0].transpose(0, 3, 2, 1))
    axes = [{"name": axis} for axis in ("phase", "channel", "z", "y", "x")]
    (tmp_path / ".zattrs").write_text(json.dumps({"multiscales": [{"axes": axes, "datasets": [{"path": "0"}]}]}))
    with pytest.raises(DatasetError, match="pass axes="):
        open_layer(array)
