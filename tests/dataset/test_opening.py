"""Layers from a folder, an array or another package's layer."""

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
