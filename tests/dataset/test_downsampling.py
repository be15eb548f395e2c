from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.dataset.twins import downsampled

from wkfast import Dataset
from wkfast.dataset import Layer, SamplingModes
from wkfast.dataset.sampling import mags_to_downsample
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, VolumeDataError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from pathlib import Path

FORMATS = ["wkw", "zarr", "zarr3"]
MODES = ["mode", "median", "nearest", "max", "min"]
DTYPES = ["uint8", "uint16", "uint32", "int8", "int16", "int32", "float32"]


def painted(
    folder: Path, voxels: Any, start: tuple[int, int, int], data_format: str = "zarr3", category: str = "color"
) -> Layer:
    """Return a layer with `voxels` (c, x, y, z) at `start`, in small shards."""
    dataset = Dataset(folder, voxel_size=(4, 4, 4))
    layer = dataset.add_layer("l", category, dtype=voxels.dtype, num_channels=voxels.shape[0], data_format=data_format)
    shard = {} if data_format == "zarr" else {"shard_shape": 64}
    layer.add_mag(1, **shard).write(voxels, absolute_offset=start, allow_resize=True, allow_unaligned=True)
    return layer


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).integers(-4, 4, shape)
    return (values - values.min() if dtype.startswith("u") else values).astype(dtype)


@pytest.mark.parametrize("data_format", FORMATS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("start", "size", "target"),
    [((0, 0, 0), (64, 40, 33), (2, 2, 2)), ((5, 7, 9), (40, 33, 21), (4, 4, 2)), ((31, 2, 3), (3, 9, 1), (4, 1, 8))],
)
def test_a_coarser_mag_equals_the_voxel_by_voxel_one(
    tmp_path: Path, data_format: str, mode: str, start: Any, size: Any, target: Any
) -> None:
    voxels = noise((1, *size), "int16")
    layer = painted(tmp_path / "d", voxels, start, data_format)
    shard = {} if data_format == "zarr" else {"shard_shape": 32}
    layer.downsample_mag(Mag(1), Mag(target), interpolation_mode=mode, buffer_shape=(8, 16, 24), **shard)
    expected = downsampled(voxels, start, target, mode, (8, 16, 24))
    np.testing.assert_array_equal(layer.get_mag(target).read(), expected)
    whole = layer.get_mag(target).read(absolute_offset=(0, 0, 0), size=(128, 128, 128))
    assert np.count_nonzero(whole) == np.count_nonzero(expected), "voxels outside of the box were written"


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mode", MODES)
def test_types_and_channels(tmp_path: Path, dtype: str, mode: str) -> None:
    channels = 3 if dtype == "uint8" else 1
    voxels = noise((channels, 17, 12, 9), dtype)
    layer = painted(tmp_path / "d", voxels, (1, 0, 3))
    layer.downsample_mag(Mag(1), Mag(2), interpolation_mode=mode)
    np.testing.assert_array_equal(
        layer.get_mag(2).read(), downsampled(voxels, (1, 0, 3), (2, 2, 2), mode, (512, 512, 512))
    )


def test_large_labels_survive(tmp_path: Path) -> None:
    voxels = np.full((1, 8, 8, 8), 2**64 - 1, "uint64")
    layer = painted(tmp_path / "d", voxels, (0, 0, 0), category="segmentation")
    for mode in MODES:
        layer.downsample_mag(Mag(1), Mag(2), interpolation_mode=mode, allow_overwrite=True)
        assert (layer.get_mag(2).read() == 2**64 - 1).all()


@pytest.mark.parametrize("data_format", FORMATS)
def test_mags_are_made_one_out_of_the_other(tmp_path: Path, data_format: str) -> None:
    voxels = noise((1, 90, 50, 70), "uint32")
    layer = painted(tmp_path / "d", voxels, (10, 20, 30), data_format, "segmentation")
    layer.downsample(coarsest_mag=Mag(8))
    expected, start = voxels, (10, 20, 30)
    for mag in (2, 4, 8):
        expected = downsampled(expected, start, (2, 2, 2), "mode", (512, 512, 512))
        start = tuple(each // 2 for each in start)
        np.testing.assert_array_equal(layer.get_mag(mag).read(), expected)
    layer.get_mag(1).write(voxels[:, ::-1], absolute_offset=(10, 20, 30), allow_unaligned=True)
    layer.redownsample()
    expected = downsampled(voxels[:, ::-1], (10, 20, 30), (2, 2, 2), "mode", (512, 512, 512))
    np.testing.assert_array_equal(layer.get_mag(2).read(), expected)


def test_defaults_follow_the_category_and_the_size(tmp_path: Path) -> None:
    voxels = noise((1, 30, 30, 30), "uint8")
    for category, mode in (("color", "median"), ("segmentation", "mode")):
        layer = painted(tmp_path / category, voxels, (0, 0, 0), category=category)
        layer.downsample()
        assert list(layer.mags) == [Mag(1), Mag(2), Mag(4)]
        np.testing.assert_array_equal(
            layer.get_mag(2).read(), downsampled(voxels, (0, 0, 0), (2, 2, 2), mode, (512, 512, 512))
        )


def test_tasks_of_an_executor_make_the_same(tmp_path: Path) -> None:
    voxels = noise((1, 200, 90, 70), "uint16")
    layers = [painted(tmp_path / name, voxels, (0, 0, 0)) for name in "ab"]
    with ThreadPoolExecutor(2) as executor:
        for layer, one in zip(layers, (None, executor), strict=True):
            layer.downsample_mag(Mag(1), Mag(2), shard_shape=32, executor=one)
    np.testing.assert_array_equal(layers[0].get_mag(2).read(), layers[1].get_mag(2).read())


@pytest.mark.parametrize(
    ("voxel_size", "coarsest", "expected"),
    [
        ((11.24, 11.24, 25), 8, ["2-2-1", "4-4-2", "8-8-4"]),
        ((4, 4, 40), 16, ["2-2-1", "4-4-1", "8-8-1", "16-16-2"]),
        ((10, 20, 30), 8, ["2-1-1", "4-2-1", "8-4-2"]),
        ((1, 1, 1.41), 4, ["2", "4"]),
        ((1, 1, 1.42), 4, ["2-2-1", "4-4-2"]),
        ((30, 7.3, 1.5), 32, ["1-1-2", "1-1-4", "1-1-8", "1-2-16", "2-8-32"]),
        (None, (8, 8, 1), ["2-2-1", "4-4-1", "8-8-1"]),
    ],
)
def test_sequences_of_mags_are_the_reference_s(voxel_size: Any, coarsest: Any, expected: list[str]) -> None:
    found = mags_to_downsample(Mag(1), Mag(coarsest), voxel_size, [])
    assert [mag.to_layer_name() for mag in found] == expected


def test_mags_align_with_other_layers(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 20, 20, 20), "uint8"), (0, 0, 0))
    other = layer.dataset.add_layer("other", "color", bounding_box=layer.bounding_box)
    for mag in ("1", "2-2-1", "4-4-2"):
        other.add_mag(mag)
    layer.downsample(coarsest_mag=Mag(4), only_setup_mags=True)
    assert list(layer.mags) == [Mag(1), Mag("2-2-1"), Mag("4-4-2")]
    assert not layer.get_mag("4-4-2").read().any()
    with pytest.raises(DatasetError, match="cannot be reached"):
        mags_to_downsample(Mag(1), Mag((8, 8, 1)), (1, 1, 1), [])
    assert SamplingModes.parse("auto") is SamplingModes.ANISOTROPIC


def test_bad_choices_change_nothing(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 20, 20, 20), "uint8"), (0, 0, 0))
    layer.downsample_mag(Mag(1), Mag(2))
    before = sorted(path for path in layer.path.rglob("*"))
    with pytest.raises(ExistsError, match="allow_overwrite"):
        layer.downsample_mag(Mag(1), Mag(2))
    with pytest.raises(DatasetValueError, match="no multiple"):
        layer.downsample_mag(Mag(2), Mag(1))
    for mode in ("bicubic", "lanczos"):
        with pytest.raises(DatasetValueError, match="choose"):
            layer.downsample_mag(Mag(2), Mag(4), interpolation_mode=mode)
    with pytest.raises(DatasetValueError, match="sampling mode"):
        layer.downsample(sampling_mode="cubic")
    assert sorted(path for path in layer.path.rglob("*")) == before


def test_a_damaged_chunk_leaves_no_mag_behind(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 128, 64, 64), "uint8"), (0, 0, 0))
    layer.downsample_mag(Mag(1), Mag(2))
    good = layer.get_mag(2).read()
    shard = min(path for path in layer.get_mag(1).path.rglob("*") if path.is_file() and path.name != "zarr.json")
    content = bytearray(shard.read_bytes())
    content[100:140] = bytes(40)
    shard.write_bytes(content)
    with pytest.raises(VolumeDataError, match="chunk"):
        layer.downsample_mag(Mag(1), Mag(2), allow_overwrite=True)
    with pytest.raises(VolumeDataError, match="chunk"):
        layer.downsample_mag(Mag(1), Mag(4))
    np.testing.assert_array_equal(layer.get_mag(2).read(), good)
    assert list(layer.mags) == [Mag(1), Mag(2)]
    assert {path.name for path in layer.path.iterdir() if path.is_dir()} == {"1", "2"}
