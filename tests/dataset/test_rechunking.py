from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from tests.dataset.test_downsampling import FORMATS, noise, painted

from wkfast import Dataset, _core
from wkfast.dataset.internals import locations_of
from wkfast.errors import DatasetValueError, ExistsError, VolumeDataError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.dataset import Layer


def stored(layer: Layer) -> set[tuple[int, ...]]:
    """Return the chunks that a mag-1 has, by their place."""
    return {tuple(row) for row in _core.Mag.open(locations_of(layer)[0]).chunks().tolist()}


@pytest.mark.parametrize("data_format", FORMATS)
def test_compressing_in_place_changes_no_voxel(tmp_path: Path, data_format: str) -> None:
    voxels = noise((1, 100, 70, 50), "uint32")
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("l", "segmentation", dtype="uint32", data_format=data_format)
    mag = layer.add_mag(1, compress=False, **({} if data_format == "zarr" else {"shard_shape": 64}))
    mag.write(voxels, absolute_offset=(5, 6, 7), allow_resize=True, allow_unaligned=True)
    large = sum(path.stat().st_size for path in mag.path.rglob("*") if path.is_file())
    dataset.compress()
    assert mag.info.compression_mode, "a view looks at what is there now"
    again = layer.get_mag(1)
    assert again.info.compression_mode
    assert again.info.shard_shape == mag.info.shard_shape
    np.testing.assert_array_equal(again.read(), voxels)
    assert sum(path.stat().st_size for path in mag.path.rglob("*") if path.is_file()) < large / 2
    assert [path.name for path in layer.path.iterdir() if path.is_dir()] == ["1"]


@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
@pytest.mark.parametrize(("chunk", "shard"), [(32, 32), (32, 128), (16, 64), (64, 64), (None, None)])
def test_rechunking_in_place_changes_no_voxel(tmp_path: Path, data_format: str, chunk: Any, shard: Any) -> None:
    voxels = noise((1, 100, 70, 150), "uint16")
    layer = painted(tmp_path / "d", voxels, (5, 6, 7), data_format)
    mag = layer.get_mag(1)
    mag.rechunk(chunk_shape=chunk, shard_shape=shard)
    assert mag.info.chunk_shape == Vec3Int.full(chunk or 32)
    assert mag.info.shard_shape == Vec3Int.full(shard or 64)
    np.testing.assert_array_equal(mag.read(), voxels)
    np.testing.assert_array_equal(Dataset.open(tmp_path / "d").get_layer("l").get_mag(1).read(), voxels)


@pytest.mark.parametrize("source", FORMATS)
@pytest.mark.parametrize("target", FORMATS)
def test_copies_in_every_format_hold_the_same(tmp_path: Path, source: str, target: str) -> None:
    voxels = noise((2, 70, 40, 50), "uint16")
    layer = painted(tmp_path / "d", voxels, (3, 4, 5), source)
    layer.downsample(coarsest_mag=Mag(4), shard_shape=None if source == "zarr" else 64)
    # A compressed file of WKW has all its blocks: of the default shape, gigabytes of zeros.
    shard = 64 if (source, target) == ("zarr", "wkw") else None
    copy = layer.dataset.copy_dataset(tmp_path / "copy", data_format=target, shard_shape=shard).get_layer("l")
    assert copy.bounding_box == layer.bounding_box
    assert list(copy.mags) == [Mag(1), Mag(2), Mag(4)]
    for mag in layer.mags:
        np.testing.assert_array_equal(copy.get_mag(mag).read(), layer.get_mag(mag).read())


@pytest.mark.parametrize("target", ["zarr", "zarr3"])
def test_erased_chunks_stay_erased(tmp_path: Path, target: str) -> None:
    layer = Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("l", "segmentation", dtype="uint32")
    mag = layer.add_mag(1, shard_shape=32)
    layer.bounding_box = BoundingBox((0, 0, 0), (128, 64, 64))
    location = locations_of(layer)[0]
    array = _core.Mag.open(location)
    array.write((0, 0, 0), np.ones((1, 32, 32, 32), "uint32", order="F"))
    array.write((64, 32, 0), np.zeros((1, 32, 32, 32), "uint32", order="F"), keep_zeros=True)
    assert stored(layer) == {(0, 0, 0), (2, 1, 0)}
    copy = layer.dataset.add_layer_as_copy(layer, "copy", data_format=target)
    assert stored(copy) == {(0, 0, 0), (2, 1, 0)}
    mag.rechunk(shard_shape=64)
    assert stored(layer) == {(0, 0, 0), (2, 1, 0)}
    mag.rechunk(chunk_shape=16, shard_shape=64)
    assert {(x // 2, y // 2, z // 2) for x, y, z in stored(layer)} == {(0, 0, 0), (2, 1, 0)}


def test_chunks_that_look_the_same_are_passed_through(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 128, 64, 64), "uint8"), (0, 0, 0))
    copy = layer.dataset.add_layer_like(layer, "copy").add_mag(1, shard_shape=128)
    spec = {"source": locations_of(layer)[0], "target": locations_of(copy.layer)[0], "step": "copy"}
    job = _core.Reshape(spec)
    assert job.shard_count == 1
    seen: list[tuple[int, int]] = []
    summary = job.run(progress=lambda done, total, *_bytes: seen.append((done, total)))
    assert (summary["chunks_passed"], summary["chunks_computed"]) == (16, 0)
    assert seen[-1] == (1, 1)
    np.testing.assert_array_equal(copy.read(absolute_bounding_box=layer.bounding_box), layer.get_mag(1).read())


def test_what_goes_wrong_leaves_the_old_mag(tmp_path: Path) -> None:
    voxels = noise((1, 128, 64, 64), "uint8")
    layer = painted(tmp_path / "d", voxels, (0, 0, 0))
    mag = layer.get_mag(1)
    shard = max((path for path in mag.path.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size)
    content = shard.read_bytes()
    shard.write_bytes(content[:-9] + bytes(9))
    with pytest.raises(VolumeDataError, match="index"):
        mag.rechunk(chunk_shape=16)
    shard.write_bytes(content)
    with pytest.raises(DatasetValueError):
        mag.rechunk(chunk_shape=48)
    np.testing.assert_array_equal(layer.get_mag(1).read(), voxels)
    assert [path.name for path in layer.path.iterdir() if path.is_dir()] == ["1"]


def test_what_python_raises_ends_a_run(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 128, 64, 64), "uint8"), (0, 0, 0))
    copy = layer.dataset.add_layer_like(layer, "copy").add_mag(1, chunk_shape=16, shard_shape=16)
    spec = {"source": locations_of(layer)[0], "target": locations_of(copy.layer)[0], "step": "copy"}

    def stop(done: int, *_more: int) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _core.Reshape(spec).run(progress=stop)


@pytest.mark.parametrize("data_format", FORMATS)
def test_views_are_merged(tmp_path: Path, data_format: str) -> None:
    voxels = noise((1, 100, 70, 64), "uint32") + 1
    layer = painted(tmp_path / "d", voxels, (0, 0, 0), data_format, "segmentation")
    other = painted(tmp_path / "other", np.full((1, 32, 32, 32), 9, "uint32"), (64, 32, 32), "zarr", "segmentation")
    expected = voxels.copy()
    expected[:, 64:96, 32:64, 32:64] = 9
    with ThreadPoolExecutor(2) as executor:
        layer.get_mag(1).merge_with_view(other.get_mag(1), executor)
    np.testing.assert_array_equal(layer.get_mag(1).read(), expected)
    with pytest.raises(DatasetValueError, match="differ"):
        layer.get_mag(1).merge_with_view(painted(tmp_path / "x", noise((1, 8, 8, 8), "uint8"), (0, 0, 0)).get_mag(1))


def test_copies_are_refused_where_they_do_not_fit(tmp_path: Path) -> None:
    layer = painted(tmp_path / "d", noise((1, 20, 20, 20), "uint8"), (0, 0, 0))
    with pytest.raises(ExistsError):
        layer.dataset.add_layer_as_copy(layer)
    with pytest.raises(ExistsError):
        layer.add_mag_as_copy(layer.get_mag(1))
    other = layer.dataset.add_layer("other", "color", dtype="uint16")
    with pytest.raises(DatasetValueError, match="uint16"):
        other.add_mag_as_copy(layer.get_mag(1).path)
    moved = layer.add_mag_as_copy(layer.get_mag(1), mag=2)
    assert layer.bounding_box.size == Vec3Int(40, 40, 40)
    np.testing.assert_array_equal(moved.read(), layer.get_mag(1).read(size=(20, 20, 20)))
    layer.get_mag(1).rechunk(chunk_shape=16, target_path=tmp_path / "there")
    there = Dataset.open(tmp_path / "there").get_layer("l").get_mag(1)
    assert there.info.chunk_shape == Vec3Int(16, 16, 16)


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_mag_that_was_rewritten_meanwhile_is_not_written_in_its_old_form(data_format: str, tmp_path: Path) -> None:
    dataset = Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("s", "segmentation", dtype="uint32", data_format=data_format, largest_segment_id=9)
    labels = np.random.default_rng(0).integers(0, 50, (64, 64, 64)).astype(np.uint32)
    old = layer.add_mag(1, compress=False, shard_shape=None if data_format == "zarr" else 64)
    old.write(labels, absolute_offset=(0, 0, 0), allow_resize=True, allow_unaligned=True)
    opened = _core.Mag.open(locations_of(layer)[0])
    Dataset.open(tmp_path / "d").get_layer("s").get_mag(1).compress()
    with pytest.raises(VolumeDataError, match="rewritten in another form"):
        opened.write((0, 0, 0), labels[None, :32, :32, :32])
    old.write(labels[:32, :32, :32], absolute_offset=(0, 0, 0), allow_unaligned=True)
    assert old.info.compression_mode, "a view writes in the form that is there now"
    again = Dataset.open(tmp_path / "d").get_layer("s").get_mag(1)
    assert np.array_equal(again.read(absolute_offset=(0, 0, 0), size=(64, 64, 64))[0], labels)
    again.write(labels, absolute_offset=(0, 0, 0), allow_unaligned=True)
