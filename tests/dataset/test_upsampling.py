"""Finer mags made out of coarser ones, against repeated voxels and the reference package."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import wkfast
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, MagNotFoundError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.filterwarnings("ignore")


def more(wk: Any) -> dict[str, Any]:
    """No processes are started."""
    return {} if wk is wkfast else {"executor": importlib.import_module("cluster_tools").get_executor("sequential")}


def coarse(
    wk: Any, folder: Path, mag: str = "4", *, size: Any = (4, 4, 4), offset: Any = (0, 0, 0), channels: int = 1,
    data_format: str = "zarr3",
) -> Any:  # fmt: skip
    box = wk.BoundingBox(offset, (20, 18, 14))
    layer = wk.Dataset(folder, voxel_size=size).add_layer(
        "x", "color", dtype="uint8", bounding_box=box, num_channels=channels, data_format=data_format
    )
    shapes = {"chunk_shape": 16} if data_format == "zarr" else {"chunk_shape": 16, "shard_shape": 16}
    view = layer.add_mag(mag, **shapes)
    whole = view.bounding_box
    extent = whole.in_mag(wk.Mag(mag)).size_xyz.to_tuple()
    voxels = np.random.default_rng(1).integers(1, 255, (channels, *extent), dtype=np.uint8)
    view.write(voxels, absolute_bounding_box=whole)
    return layer


def twin(layer: Any, start: Any, mag: Any) -> Any:
    """The voxels of a mag, each looked up in the mag that it was made of."""
    source, target = layer.get_mag(start), layer.get_mag(mag)
    voxels, box = source.read(), target.bounding_box
    first = np.array(source.bounding_box.topleft_xyz.to_tuple())
    mags = [np.array(view.mag.to_tuple()) for view in (target, source)]
    at = [
        (np.arange(low, low + extent) * mags[0][axis] - first[axis]) // mags[1][axis]
        for axis, (low, extent) in enumerate(
            zip(box.topleft_xyz.to_tuple() // mags[0], box.size_xyz.to_tuple() // mags[0], strict=True)
        )
    ]
    return voxels[:, at[0][:, None, None], at[1][None, :, None], at[2][None, None, :]]


@pytest.mark.parametrize("offset", [(0, 0, 0), (10, 6, 4), (10, 6, 5)])
@pytest.mark.parametrize("mode", ["isotropic", "anisotropic"])
def test_every_voxel_is_repeated(wk: Any, tmp_path: Path, mode: str, offset: Any) -> None:
    layer = coarse(wk, tmp_path / "d", offset=offset)
    box = layer.bounding_box
    layer.upsample(wk.Mag(4), sampling_mode=mode, chunk_shape=16, shard_shape=16, **more(wk))
    assert sorted(map(str, layer.mags)) == ["1", "2", "4"]
    assert layer.bounding_box == box
    again = wk.Dataset.open(tmp_path / "d").get_layer("x")
    for mag in (1, 2):
        assert np.array_equal(again.get_mag(mag).read(), twin(layer, 4, mag))


@pytest.mark.parametrize(
    ("mode", "size", "finest", "expected"),
    [
        ("constant_z", (4, 4, 4), 1, ["1-1-4", "4"]),
        ("anisotropic", (4, 4, 40), 1, ["1", "2-2-1", "4"]),
        ("isotropic", (4, 4, 4), 2, ["2", "4"]),
    ],
)
def test_mags_between_are_those_of_the_other_package(
    wk: Any, tmp_path: Path, mode: str, size: Any, finest: int, expected: list[str]
) -> None:
    layer = coarse(wk, tmp_path / "d", size=size)
    layer.upsample(wk.Mag(4), finest_mag=wk.Mag(finest), sampling_mode=mode, chunk_shape=16, shard_shape=16, **more(wk))
    assert sorted(map(str, layer.mags)) == expected


def test_mags_follow_a_sibling(wk: Any, tmp_path: Path) -> None:
    layer = coarse(wk, tmp_path / "d")
    sibling = layer.dataset.add_layer("y", "color", bounding_box=layer.bounding_box)
    for mag in ("1", "2-2-1", "4"):
        sibling.add_mag(mag)
    layer.upsample(wk.Mag(4), chunk_shape=16, shard_shape=16, **more(wk))
    assert sorted(map(str, layer.mags)) == ["1", "2-2-1", "4"]


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("factor", ["4-4-4", "8-4-2"])
def test_any_factor_is_filled(tmp_path: Path, data_format: str, channels: int, factor: str) -> None:
    """The reference package leaves zeros between the first and the last of more than two voxels."""
    layer = coarse(wkfast, tmp_path / "d", factor, channels=channels, data_format=data_format)
    shapes = {"chunk_shape": 16} if data_format == "zarr" else {"chunk_shape": 16, "shard_shape": 32}
    layer.upsample(wkfast.Mag(factor), sampling_mode="constant_z" if factor == "4-4-4" else "isotropic", **shapes)
    for mag in layer.mags:
        assert np.array_equal(layer.get_mag(mag).read(), twin(layer, factor, mag)), mag


@pytest.mark.parametrize("buffer_shape", [8, (16, 8, 4), 500])
def test_pieces_do_not_show(tmp_path: Path, buffer_shape: Any) -> None:
    layer = coarse(wkfast, tmp_path / "d", offset=(3, 5, 7))
    layer.upsample(wkfast.Mag(4), finest_mag=wkfast.Mag(2), buffer_shape=buffer_shape, chunk_shape=16, shard_shape=32)
    assert np.array_equal(layer.get_mag(2).read(), twin(layer, 4, 2))


def test_an_executor_makes_the_same(tmp_path: Path) -> None:
    layer, done = coarse(wkfast, tmp_path / "d"), []
    with ThreadPoolExecutor(2) as executor:
        layer.upsample(
            wkfast.Mag(4), executor=executor, chunk_shape=8, shard_shape=8, progress=lambda *now: done.append(now)
        )
    assert done
    for mag in (1, 2):
        assert np.array_equal(layer.get_mag(mag).read(), twin(layer, 4, mag))


def test_voxels_of_another_layer_are_taken(wk: Any, tmp_path: Path) -> None:
    foreign = coarse(wk, tmp_path / "d")
    layer = wk.Dataset(tmp_path / "e", voxel_size=(4, 4, 4)).add_layer("y", "color", bounding_box=foreign.bounding_box)
    layer.upsample(
        wk.Mag(4), from_mag_view=foreign.get_mag(4), finest_mag=wk.Mag(2), chunk_shape=16, shard_shape=16, **more(wk)
    )
    assert list(map(str, layer.mags)) == ["2"]
    foreign.upsample(wk.Mag(4), finest_mag=wk.Mag(2), chunk_shape=16, shard_shape=16, **more(wk))
    assert np.array_equal(layer.get_mag(2).read(), foreign.get_mag(2).read())


def test_additional_axes_come_along(tmp_path: Path) -> None:
    box = wkfast.NDBoundingBox((0, 0, 0, 0), (3, 8, 8, 8), ("t", "x", "y", "z"), (1, 2, 3, 4))
    layer = wkfast.Dataset(tmp_path / "d", voxel_size=(4, 4, 4)).add_layer("x", "color", bounding_box=box)
    voxels = np.random.default_rng(2).integers(1, 255, (1, 3, 4, 4, 4), dtype=np.uint8)
    layer.add_mag(2, chunk_shape=8, shard_shape=8).write(voxels)
    layer.upsample(wkfast.Mag(2), chunk_shape=8, shard_shape=8)
    assert np.array_equal(layer.get_mag(1).read(), voxels.repeat(2, 2).repeat(2, 3).repeat(2, 4))


def test_what_cannot_be_made_is_refused(tmp_path: Path) -> None:
    layer = coarse(wkfast, tmp_path / "d")
    with pytest.raises(MagNotFoundError):
        layer.upsample(wkfast.Mag(8))
    with pytest.raises(DatasetValueError, match="from_mag says"):
        layer.upsample(wkfast.Mag(8), from_mag_view=layer.get_mag(4))
    with pytest.raises(DatasetError):
        layer.upsample(wkfast.Mag(4), finest_mag=wkfast.Mag(8))
    layer.add_mag(2)
    with pytest.raises(ExistsError):
        layer.upsample(wkfast.Mag(4))
    assert sorted(map(str, layer.mags)) == ["2", "4"]


def test_a_mag_that_fails_is_not_there(tmp_path: Path) -> None:
    layer = coarse(wkfast, tmp_path / "d")
    for file in layer.get_mag(4).path.rglob("*"):
        if file.is_file() and file.name != "zarr.json":
            file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(wkfast.errors.VolumeDataError):
        layer.upsample(wkfast.Mag(4), chunk_shape=16, shard_shape=16)
    assert [path.name for path in layer.path.iterdir() if path.is_dir()] == ["4"]
    assert list(map(str, wkfast.Dataset.open(tmp_path / "d").get_layer("x").mags)) == ["4"]


# -- what is told of an array -------------------------------------------------------------------------------------


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_the_extent_of_an_array_is_told(wk: Any, tmp_path: Path, data_format: str) -> None:
    layer = coarse(wk, tmp_path / "d", "2", offset=(10, 10, 10), data_format=data_format)
    box = layer.get_mag(2).info.bounding_box
    assert box.axes == ("c", "x", "y", "z")
    assert box.topleft.to_tuple() == (0, 0, 0, 0)
    assert box.size.to_tuple() == ((1, 0, 0, 0) if data_format == "wkw" else (1, 16, 16, 16))  # to the end of shards


def test_compression_says_nothing_of_a_layer(wk: Any, tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 4))
    layer = dataset.add_layer("x", "color", compressed=False)
    assert layer.add_mag(1).info.compression_mode
