"""Downsampled, compressed and rechunked mags beside those of the reference package, and as others read them."""

from __future__ import annotations

import importlib.util
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.dataset.test_writing import as_others_read
from tests.dataset.twins import downsampled

from wkfast import Dataset
from wkfast.geometry import BoundingBox, Mag

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from wkfast.dataset import Layer

FORMATS = ["wkw", "zarr", "zarr3"]
MODES = ["mode", "median", "nearest", "max", "min"]
TYPES = ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "float32"]
TARGETS = [(2, 2, 2), (2, 2, 1), (4, 4, 2), (1, 2, 4), (4, 4, 4), (8, 4, 1)]


def drawn(seed: int) -> dict[str, Any]:
    """A layer and what becomes of it, at random: odd sizes, any place, few and many different values."""
    rng = np.random.default_rng(seed)
    # 5 modes and 8 types: 40 seeds have all pairs
    dtype = TYPES[seed % len(TYPES)]
    size = tuple(rng.integers(1, 70, 3).tolist())
    channels = int(rng.choice([1, 1, 1, 3])) if dtype == "uint8" else 1
    values = rng.integers(0, rng.choice([3, 5, 100]), (channels, *size))
    return {
        "voxels": (values - values.max() // 2 if dtype[0] in "if" else values).astype(dtype),
        "start": tuple(rng.integers(0, 50, 3).tolist()),
        "mode": MODES[seed % len(MODES)],
        "target": TARGETS[int(rng.integers(len(TARGETS)))],
        "data_format": FORMATS[int(rng.integers(len(FORMATS)))],
    }


def layer_of(folder: Path, case: dict[str, Any]) -> Layer:
    voxels = case["voxels"]
    category = "segmentation" if voxels.dtype == "uint64" else "color"  # WEBKNOSSOS has no such images
    layer = Dataset(folder, voxel_size=(4, 4, 4)).add_layer(
        "l", category, dtype=voxels.dtype, num_channels=voxels.shape[0], data_format=case["data_format"]
    )
    shard = {} if case["data_format"] == "zarr" else {"shard_shape": 64}
    layer.add_mag(1, **shard).write(voxels, absolute_offset=case["start"], allow_resize=True, allow_unaligned=True)
    return layer


def stored_voxels(layer: Layer, mag: Any) -> NDArray[Any]:
    """All voxels of a mag from the origin on, as wkw, zarr and tensorstore find them."""
    view = layer.get_mag(mag)
    found = as_others_read(
        view, tuple(layer.bounding_box.align_with_mag(view.mag, ceil=True).in_mag(view.mag).bottomright)
    )
    start = layer.bounding_box.align_with_mag(view.mag, ceil=True).in_mag(view.mag).topleft
    x, y, z = start
    assert np.count_nonzero(found) == np.count_nonzero(found[:, x:, y:, z:]), "voxels outside of the box were written"
    return found[:, x:, y:, z:]


@pytest.mark.skipif(importlib.util.find_spec("webknossos") is None, reason="the reference package is a bench extra")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(40))
def test_random_layers_become_what_the_reference_makes_of_them(tmp_path: Path, seed: int) -> None:
    import cluster_tools
    import webknossos

    case = drawn(seed)
    layer = layer_of(tmp_path / "ours", case)
    shutil.copytree(tmp_path / "ours", tmp_path / "theirs")
    theirs = webknossos.Dataset.open(tmp_path / "theirs").get_layer("l")
    shard = {} if case["data_format"] == "zarr" else {"shard_shape": 64}
    with cluster_tools.get_executor("sequential") as executor:
        theirs.downsample_mag(
            webknossos.Mag(1), webknossos.Mag(case["target"]), interpolation_mode=case["mode"], executor=executor,
            **shard,
        )  # fmt: skip
    layer.downsample_mag(Mag(1), Mag(case["target"]), interpolation_mode=case["mode"], **shard)
    expected = theirs.get_mag(webknossos.Mag(case["target"])).read()
    np.testing.assert_array_equal(layer.get_mag(case["target"]).read(), expected)
    ours = webknossos.Dataset.open(tmp_path / "ours").get_layer("l").get_mag(webknossos.Mag(case["target"]))
    np.testing.assert_array_equal(ours.read(), expected)


@pytest.mark.parametrize("seed", range(100, 140))
def test_random_layers_become_what_the_slow_twin_says_and_others_read_it(tmp_path: Path, seed: int) -> None:
    case = drawn(seed)
    layer = layer_of(tmp_path / "d", case)
    target = case["target"]
    shard = {} if case["data_format"] == "zarr" else {"shard_shape": 64}
    layer.downsample_mag(Mag(1), Mag(target), interpolation_mode=case["mode"], buffer_shape=(16, 8, 32), **shard)
    expected = downsampled(case["voxels"], case["start"], target, case["mode"], (16, 8, 32))
    np.testing.assert_array_equal(layer.get_mag(target).read(), expected)
    np.testing.assert_array_equal(stored_voxels(layer, target), expected)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("dtype", ["uint8", "uint32", "int16", "float32"])
def test_others_read_what_compressing_and_rechunking_leave(tmp_path: Path, data_format: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    voxels = rng.integers(0, 100, (1, 70, 41, 33)).astype(dtype)
    layer = Dataset(tmp_path / "d", voxel_size=(4, 4, 4)).add_layer("l", "color", dtype=dtype, data_format=data_format)
    sharded = data_format != "zarr"
    mag = layer.add_mag(1, compress=False, **({"shard_shape": 64} if sharded else {}))
    mag.write(voxels, absolute_offset=(5, 6, 7), allow_resize=True, allow_unaligned=True)
    np.testing.assert_array_equal(stored_voxels(layer, 1), voxels)
    mag.compress()
    assert layer.get_mag(1).info.compression_mode
    np.testing.assert_array_equal(stored_voxels(layer, 1), voxels)
    for chunk, shard in ((16, 32), (32, 32), (8, 64)):
        mag.rechunk(chunk_shape=chunk, **({"shard_shape": shard} if sharded else {}))
        assert layer.get_mag(1).info.chunk_shape.to_tuple() == (chunk,) * 3
        np.testing.assert_array_equal(stored_voxels(layer, 1), voxels)
    layer.bounding_box = BoundingBox((5, 6, 7), (70, 41, 33))
    layer.downsample(coarsest_mag=Mag(4))
    np.testing.assert_array_equal(stored_voxels(layer, 4), layer.get_mag(4).read())
