"""Statistics of segments equal what numpy counts voxel by voxel, wherever a layer lies and whoever counts."""

from __future__ import annotations

import concurrent.futures as cf
import csv
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from tests.inputs import volume_annotation, zarr3_data_zip

import wkfast as wk
from wkfast import _core
from wkfast.cli import main
from wkfast.dataset.statistics import segment_table
from wkfast.errors import DatasetValueError, VolumeDataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


def slowly(voxels: NDArray, start: tuple[int, int, int], mag: tuple[int, int, int]) -> list[tuple]:
    """The obvious way, in numpy: id, voxels, topleft, size, centroid of voxels (x, y, z) from `start` on."""
    rows = []
    for label in np.unique(voxels[voxels != 0]).tolist():
        places = np.argwhere(voxels == label) + start
        fine = places * mag
        low, high = fine.min(axis=0), fine.max(axis=0) + mag
        centre = (fine + (np.array(mag) - 1) / 2).mean(axis=0)
        rows.append((label, len(places), low.tolist(), (high - low).tolist(), pytest.approx(centre.tolist())))
    return rows


def rows_of(table: dict[str, NDArray]) -> list[tuple]:
    names = ("id", "voxels", "topleft", "size", "centroid")
    return list(zip(*(table[name].tolist() for name in names), strict=True))


def voxels_of(dtype: str, shape: tuple[int, ...] = (40, 30, 20)) -> NDArray:
    few = np.random.default_rng(5).integers(-2 if dtype.startswith("int") else 0, 5, tuple(-(-n // 3) for n in shape))
    blocks = few.repeat(3, 0).repeat(3, 1).repeat(3, 2)[tuple(slice(n) for n in shape)]
    return blocks.astype(dtype)


def some_layer(folder: Path, dtype: str, data_format: str = "zarr3", mag: object = 1) -> wk.Layer:
    layer = wk.Dataset(folder, voxel_size=(4, 5, 40)).add_layer(
        "labels", "segmentation", dtype=dtype, data_format=data_format
    )
    shards = {} if data_format == "zarr" else {"shard_shape": 32}
    at = wk.Vec3Int(5, 17, 33) * wk.Mag(mag).to_vec3_int()
    layer.add_mag(mag, chunk_shape=16, **shards).write(voxels_of(dtype), absolute_offset=at, allow_resize=True)
    return layer


@pytest.mark.parametrize(
    ("dtype", "data_format", "mag"),
    [
        ("uint8", "wkw", 1),
        ("uint32", "zarr", 1),
        ("uint64", "zarr3", "2-2-1"),
        ("int16", "zarr3", 1),
        ("int64", "wkw", 2),
    ],
)
def test_every_segment_is_counted_as_numpy_counts_it(tmp_path, dtype, data_format, mag):
    layer, step = some_layer(tmp_path / "d", dtype, data_format, mag), wk.Mag(mag).to_tuple()
    table = layer.segment_statistics()
    assert rows_of(table) == slowly(voxels_of(dtype), (5, 17, 33), step)
    assert table["id"].dtype == dtype
    assert table["volume"].tolist() == [n * 800 * int(np.prod(step)) for n in table["voxels"].tolist()]
    part = wk.BoundingBox(wk.Vec3Int(9, 21, 37) * step, wk.Vec3Int(20, 7, 90) * step)
    assert rows_of(layer.segment_statistics(mag, part)) == slowly(voxels_of(dtype)[4:24, 4:11, 4:], (9, 21, 37), step)


def test_large_ids_and_far_places_lose_no_digit(tmp_path):
    layer = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("l", "segmentation", dtype="uint64")
    far = (1 << 22) + 1
    mag = layer.add_mag(1, chunk_shape=8, shard_shape=8)
    mag.write(np.full((2, 2, 1), 2**64 - 1, np.uint64), absolute_offset=(far, 0, 3), allow_resize=True)
    (row,) = rows_of(layer.segment_statistics())
    assert row == (2**64 - 1, 4, [far, 0, 3], [2, 2, 1], [far + 0.5, 0.5, 3.0])


def test_jobs_of_an_executor_count_the_same(tmp_path):
    layer = some_layer(tmp_path / "d", "uint32")
    with cf.ProcessPoolExecutor(2) as executor:
        spread = layer.segment_statistics(executor=executor)
    whole = layer.segment_statistics()
    assert all(np.array_equal(spread[name], whole[name]) for name in whole)


def test_tables_of_parts_travel_and_add_up(tmp_path):
    layer = some_layer(tmp_path / "d", "int16")
    mag = layer.get_mag(1)
    parts = [wk.BoundingBox((5, 17, 33), (11, 30, 20)), wk.BoundingBox((16, 17, 33), (29, 30, 20))]
    tables = [pickle.loads(pickle.dumps(segment_table(mag, part))) for part in parts]
    tables[0].merge(tables[1])
    whole = segment_table(mag, None)
    assert len(tables[0]) == len(whole)
    for one, other in zip(tables[0].columns(), whole.columns(), strict=True):
        assert np.array_equal(one, other)
    with pytest.raises(ValueError, match="no segment table"):
        _core.SegmentTable.from_bytes(b"x")


def test_additional_axes_are_counted_slice_by_slice(tmp_path):
    box = wk.NDBoundingBox((0, 2, 4, 4, 4), (1, 3, 20, 10, 9), ("c", "t", "x", "y", "z"))
    layer = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer(
        "l", "segmentation", dtype="uint16", bounding_box=box
    )
    labels = np.arange(1, 4, dtype="uint16").reshape(1, 3, 1, 1, 1) * np.ones(box.size.to_tuple(), "uint16")
    layer.add_mag(1, chunk_shape=8, shard_shape=16).write(labels, allow_unaligned=True)
    assert layer.segment_statistics()["voxels"].tolist() == [1800] * 3
    second = wk.NDBoundingBox((3, 4, 4, 4), (1, 20, 10, 9), ("t", "x", "y", "z"))
    assert layer.segment_statistics(bounding_box=second)["id"].tolist() == [2]


def test_data_zips_and_merged_views_are_counted_where_they_lie(tmp_path):
    chunk = voxels_of("uint32", (32, 32, 32)) + 1
    under = np.full((64, 64, 64), 1000, "uint32")
    wk.Dataset(tmp_path / "dataset", voxel_size=(4, 4, 40)).write_layer(
        "segmentation", "segmentation", under, downsample=False, chunk_shape=16
    )
    annotation = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", zarr3_data_zip({(1, 0, 0): chunk})))
    painted, over = np.zeros_like(under), under.copy()
    painted[32:, :32, :32] = over[32:, :32, :32] = chunk
    volume = annotation.get_volume_layer().as_layer()
    assert rows_of(volume.segment_statistics()) == slowly(painted, (0, 0, 0), (1, 1, 1))
    assert rows_of(annotation.merged_layer(tmp_path).segment_statistics()) == slowly(over, (0, 0, 0), (1, 1, 1))


def test_what_holds_no_labels_is_refused(tmp_path):
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    for name, dtype, channels in (("f", "float32", 1), ("c", "uint8", 3)):
        layer = dataset.add_layer(name, "color", dtype=dtype, num_channels=channels)
        layer.add_mag(1)
        with pytest.raises(DatasetValueError, match="which are no labels"):
            layer.segment_statistics()
    with pytest.raises(DatasetValueError, match="expected a BoundingBox"):
        some_layer(tmp_path / "g", "uint8").segment_statistics(bounding_box=((0, 0, 0), (10, 10, 10)))
    coarse = some_layer(tmp_path / "e", "uint8", mag=2)
    with pytest.raises(DatasetValueError, match="does not lie on voxels"):
        coarse.segment_statistics(bounding_box=wk.BoundingBox((11, 40, 70), (3, 4, 5)))


def test_a_damaged_chunk_is_named(tmp_path):
    layer = some_layer(tmp_path / "d", "uint32")
    for file in (tmp_path / "d" / "labels" / "1" / "c").rglob("*"):
        if file.is_file():
            content = bytearray(file.read_bytes())
            content[:200] = bytes(200)
            file.write_bytes(content)
    with pytest.raises(VolumeDataError, match="chunk"):
        layer.segment_statistics()


def test_the_command_writes_tables(tmp_path, capsys):
    layer = some_layer(tmp_path / "d", "uint32")
    table = layer.segment_statistics()
    with pytest.raises(SystemExit) as done:
        main(["statistics", str(tmp_path / "d"), "labels"])
    assert done.value.code == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [int(row["id"]) for row in rows] == table["id"].tolist()
    assert [float(row["centroid_z"]) for row in rows] == table["centroid"][:, 2].tolist()
    with pytest.raises(SystemExit) as done:
        main(["statistics", str(tmp_path / "d"), "labels", "--out", str(tmp_path / "s.npz")])
    assert done.value.code == 0
    with np.load(tmp_path / "s.npz") as kept:
        assert all(np.array_equal(kept[name], table[name]) for name in table)
    with pytest.raises(SystemExit) as done:
        main(["statistics", str(tmp_path / "d"), "labels", "--out", str(tmp_path / "s.txt")])
    assert done.value.code == 2


def test_the_command_looks_for_the_folder_before_it_counts(tmp_path, capsys, monkeypatch):
    some_layer(tmp_path / "d", "uint32")
    monkeypatch.setattr(wk.SegmentationLayer, "segment_statistics", lambda *_, **__: pytest.fail("has counted"))
    with pytest.raises(SystemExit) as done:
        main(["statistics", str(tmp_path / "d"), "labels", "--out", str(tmp_path / "none" / "s.npz")])
    assert done.value.code == 2
    assert "there is no folder" in capsys.readouterr().err
