"""Voxels at scattered positions: what reading them one after the other finds, wherever a layer lies."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inputs import volume_annotation, zarr3_data_zip

import wkfast as wk
from wkfast.dataset.points import values_by_chunk
from wkfast.errors import DatasetValueError, MagNotFoundError, SkeletonError, VolumeDataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

POSITIONS = st.lists(st.tuples(*[st.integers(-20, 120)] * 3), max_size=40)


def labels(shape: tuple[int, ...], dtype: str, seed: int = 3) -> NDArray:
    return np.random.default_rng(seed).integers(1, 120, shape).astype(dtype)


def some_layer(folder: Path, dtype: str = "uint32", data_format: str = "zarr3", mag: object = 1) -> wk.Layer:
    dataset = wk.Dataset(folder, voxel_size=(4, 4, 40))
    category = "color" if dtype == "float32" else "segmentation"
    layer = dataset.add_layer("labels", category, dtype=dtype, data_format=data_format)
    shards = {} if data_format == "zarr" else {"shard_shape": 32}
    view = layer.add_mag(mag, chunk_shape=16, **shards)
    at = wk.Vec3Int(5, 17, 33) * wk.Mag(mag).to_vec3_int()
    view.write(labels((40, 30, 20), dtype), absolute_offset=at, allow_resize=True)
    return layer


def one_by_one(view: wk.MagView, positions: object) -> list:
    """The loop that scripts have, one read for each position: the slow twin."""
    mag = view.mag.to_vec3_int()
    found = []
    for position in positions:
        corner = wk.Vec3Int(*position) // mag * mag
        found.append(view.read(absolute_bounding_box=wk.BoundingBox(corner, mag))[0, 0, 0, 0].item())
    return found


@pytest.mark.parametrize(
    ("dtype", "data_format", "mag"),
    [
        ("uint8", "wkw", 1),
        ("uint32", "zarr", "2-2-1"),
        ("uint64", "zarr3", 1),
        ("int16", "zarr3", "2-2-1"),
        ("float32", "wkw", "2-2-1"),
    ],
)
def test_any_positions_hold_what_reading_one_by_one_finds(tmp_path, dtype, data_format, mag):
    layer = some_layer(tmp_path / "d", dtype, data_format, mag)
    positions = np.random.default_rng(1).integers(-20, 120, (60, 3))
    positions = np.concatenate([positions, positions[:5], [(10, 34, 33), (88, 92, 52)]])
    found = layer.values_at(positions, mag)
    assert found.dtype == dtype
    assert found.tolist() == one_by_one(layer.get_mag(mag), positions)
    assert found.any()


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory):
    return some_layer(tmp_path_factory.mktemp("one") / "d")


@settings(max_examples=30)
@given(positions=POSITIONS)
def test_reading_chunk_by_chunk_and_the_core_agree(one_layer, positions):
    layer = one_layer
    points = np.array(positions, np.int64).reshape(-1, 3)
    slow = values_by_chunk(layer.get_mag(1)._source, points)
    assert slow[:, 0].tolist() == layer.values_at(points).tolist() == one_by_one(layer.get_mag(1), positions)


def test_no_positions_have_no_values(tmp_path):
    layer = some_layer(tmp_path / "d")
    for none in ([], np.empty((0, 3)), ()):
        found = layer.values_at(none)
        assert (found.shape, found.dtype) == ((0,), np.uint32)


def test_several_channels_are_columns(tmp_path):
    layer = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1)).add_layer("c", "color", dtype="uint8", num_channels=3)
    mag = layer.add_mag(1)
    voxels = labels((3, 20, 10, 9), "uint8")
    mag.write(voxels, absolute_offset=(0, 0, 0), allow_resize=True)
    assert np.array_equal(
        layer.values_at([(1, 2, 3), (50, 0, 0), (19, 9, 8)]).T[:, [0, 2]], voxels[:, [1, 19], [2, 9], [3, 8]]
    )
    assert layer.values_at([(50, 0, 0)]).tolist() == [[0, 0, 0]]


def test_views_of_mags_in_other_processes_answer_alike(tmp_path):
    layer = some_layer(tmp_path / "d")
    again = pickle.loads(pickle.dumps(layer.get_mag(1)))
    assert again.values_at([(10, 20, 40)]).tolist() == one_by_one(layer.get_mag(1), [(10, 20, 40)])


def along_t(folder: Path) -> wk.Layer:
    box = wk.NDBoundingBox((0, 2, 4, 4, 4), (1, 3, 40, 30, 20), ("c", "t", "x", "y", "z"))
    layer = wk.Dataset(folder, voxel_size=(1, 1, 1)).add_layer("l", "segmentation", dtype="uint16", bounding_box=box)
    layer.add_mag(1, chunk_shape=8, shard_shape=16).write(labels((1, 3, 40, 30, 20), "uint16"), allow_unaligned=True)
    return layer


def test_additional_coordinates_pick_the_slice(tmp_path):
    layer = along_t(tmp_path / "d")
    whole = layer.get_mag(1).read()[0]
    positions, times = [(5, 6, 7), (43, 33, 23), (5, 6, 7), (5, 6, 7)], [3, 4, 2, 9]
    found = layer.values_at(positions, additional_coordinates={"t": times})
    assert found.tolist() == [whole[1, 1, 2, 3], whole[2, 39, 29, 19], whole[0, 1, 2, 3], 0]
    assert layer.values_at([(5, 6, 7)], additional_coordinates={"t": 3}).tolist() == [whole[1, 1, 2, 3]]
    with pytest.raises(DatasetValueError, match=r"axis t from 2 to 4: say where"):
        layer.values_at([(5, 6, 7)])
    with pytest.raises(DatasetValueError, match="no axis q"):
        layer.values_at([(5, 6, 7)], additional_coordinates={"q": 3})
    with pytest.raises(DatasetValueError, match=r"along t have the shape \(3,\)"):
        layer.values_at([(5, 6, 7)], additional_coordinates={"t": [1, 2, 3]})


def chunk(seed: int) -> NDArray:
    return np.random.default_rng(seed).integers(1, 9, (32, 32, 32)).astype("uint32")


def annotation_over(folder: Path) -> tuple[wk.Annotation, NDArray]:
    """An annotation of one painted chunk over a fallback of 64³."""
    under = np.full((64, 64, 64), 1000, "uint32")
    dataset = wk.Dataset(folder / "dataset", voxel_size=(4, 4, 40))
    dataset.write_layer("segmentation", "segmentation", under, downsample=False, chunk_shape=16)
    over = under.copy()
    over[32:, :32, :32] = chunk(1)
    path = volume_annotation(folder / "a.zip", zarr3_data_zip({(1, 0, 0): chunk(1)}))
    return wk.Annotation.load(path), over


EVERYWHERE = np.array([(33, 1, 2), (0, 0, 0), (63, 31, 31), (63, 63, 63), (64, 0, 0), (-1, 5, 5), (33, 1, 2)])


def expected_at(whole: NDArray, positions: NDArray) -> list[int]:
    inside = ((positions >= 0) & (positions < whole.shape)).all(axis=1)
    return [int(whole[tuple(p)]) if there else 0 for p, there in zip(positions, inside, strict=True)]


def test_data_zips_layers_in_memory_and_merged_views_are_looked_up_alike(tmp_path):
    annotation, over = annotation_over(tmp_path)
    painted = np.zeros((64, 64, 64), "uint32")
    painted[32:, :32, :32] = chunk(1)
    volume = annotation.get_volume_layer()
    assert volume.as_layer().values_at(EVERYWHERE).tolist() == expected_at(painted, EVERYWHERE)
    assert annotation.merged_layer(tmp_path).values_at(EVERYWHERE).tolist() == expected_at(over, EVERYWHERE)
    with volume.edit(edit_mode=wk.VolumeLayerEditMode.MEMORY) as layer:
        painted[40:50, 3:9, 20:30] = 77
        at = wk.BoundingBox((40, 3, 20), (10, 6, 10))
        layer.get_mag(1).write(
            np.full(at.size.to_tuple(), 77, "uint32"), absolute_bounding_box=at, allow_unaligned=True
        )
        positions = np.concatenate([EVERYWHERE, [(40, 3, 20), (49, 8, 29), (50, 8, 29)]])
        assert layer.values_at(positions).tolist() == expected_at(painted, positions)


def test_every_node_gets_what_lies_under_it(tmp_path):
    layer = some_layer(tmp_path / "d")
    skeleton = wk.Skeleton(voxel_size=(4, 4, 40), dataset_name="d")
    places = [(10.9, 20.2, 40.0), (0, 0, 0), (11, 20, 40)]
    first = skeleton.add_tree("a")
    first.add_nodes(np.array(places))
    second = skeleton.add_group("g").add_tree("b")
    second.add_node((12, 21, 41))
    wanted = one_by_one(layer.get_mag(1), [(10, 20, 40), (0, 0, 0), (11, 20, 40)])
    assert first.labels_at(layer).tolist() == wanted
    assert skeleton.labels_at(layer).tolist() == wanted + one_by_one(layer.get_mag(1), [(12, 21, 41)])
    assert len(skeleton.labels_at(layer, mag=1)) == len(skeleton.nodes_table()["id"])


NML_ALONG_T = """<things><parameters><experiment name="d" /><scale x="1" y="1" z="1" />
<additionalAxes><additionalAxis name="t" index="1" start="2" end="5" /></additionalAxes></parameters>
<thing id="1" name="t"><nodes><node id="1" x="5" y="6" z="7" additionalCoordinate-t="3" />{}</nodes><edges /></thing>
</things>"""


def test_nodes_are_looked_up_where_they_lie_along_further_axes(tmp_path):
    layer = along_t(tmp_path / "d")
    (tmp_path / "a.nml").write_text(NML_ALONG_T.format(""))
    skeleton = wk.Skeleton.load(tmp_path / "a.nml")
    assert skeleton.labels_at(layer).tolist() == [layer.get_mag(1).read()[0, 1, 1, 2, 3]]
    flat = some_layer(tmp_path / "flat")
    assert skeleton.labels_at(flat).tolist() == [0], "an axis that the layer lacks does not matter"
    (tmp_path / "b.nml").write_text(NML_ALONG_T.format('<node id="2" x="5" y="6" z="7" />'))
    with pytest.raises(SkeletonError, match="node 2 has no place along the axis t"):
        wk.Skeleton.load(tmp_path / "b.nml").labels_at(layer)


@pytest.mark.parametrize(
    ("positions", "message"),
    [
        (np.zeros((3, 5)), r"shape \(3, 5\), expected \(n, 3\): x, y, z in mag-1 voxels; transpose"),
        (np.zeros((5, 2)), r"shape \(5, 2\)"),
        ((1, 2, 3), r"shape \(3,\)"),
        (7, r"shape \(\)"),
        ([(1, 2, 3), (1, 2)], "no array of the shape"),
        ([(1, 2, 3), (1.5, 2, 3)], r"no whole numbers: \[1.5, 2.0, 3.0\] in row 1"),
        ([(1, 2, np.nan)], "in row 0"),
        ([(1, 2, np.inf)], None),
        ([("a", "b", "c")], "expected whole numbers"),
        ([(1, 2, None)], "expected whole numbers"),
        ([(True, False, True)], "expected whole numbers"),
    ],
)
def test_what_is_no_position_is_refused_in_one_sentence(one_layer, positions, message):
    layer = one_layer
    if message is None:
        assert layer.values_at(positions).tolist() == [0], "infinitely far away is outside"
        return
    with pytest.raises(DatasetValueError, match=message):
        layer.values_at(positions)


def test_huge_positions_are_outside_whatever_type_they_have(one_layer):
    layer = one_layer
    for far in (np.array([[2**64 - 1, 20, 40]], np.uint64), [(-(2**62), 20, 40)], [(1e300, 20, 40)]):
        assert layer.values_at(far).tolist() == [0]


def test_a_mag_that_is_not_there_and_a_damaged_chunk_are_named(tmp_path):
    layer = some_layer(tmp_path / "d")
    with pytest.raises(MagNotFoundError, match="16"):
        layer.values_at([(1, 2, 3)], 16)
    for file in (tmp_path / "d" / "labels" / "1" / "c").rglob("*"):
        if file.is_file():
            content = bytearray(file.read_bytes())
            content[:200] = bytes(200)
            file.write_bytes(content)
    with pytest.raises(VolumeDataError, match="chunk"):
        layer.values_at([(6, 18, 34), (10, 20, 40), (44, 46, 52)])
