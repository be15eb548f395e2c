"""Merges of layers with additional axes: beside a merge of arrays, and what does not fit is refused."""

import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inputs import tree_state, volume_annotation, wkw_data_zip, zarr3_data_zip

import wkfast as wk
from wkfast.errors import MergeError

EDGE = 32
REACH = (9, 96, 96, 64)
"""How far arrays along t, x, y, z reach that hold every case."""
T_BOX = wk.NDBoundingBox((0, 2, 0, 0, 0), (1, 3, 64, 40, 32), ("c", "t", "x", "y", "z"))


def fallback_layer(folder, box, dtype="uint16", data_format="zarr3", *, chunk_shape=(16, 16, 16), downsample=True):
    """A layer of random labels below `folder`, and the voxels of its box."""
    dataset = wk.Dataset(folder / "datasets" / "dataset", voxel_size=(4, 4, 40))
    kind = {"dtype": dtype, "data_format": data_format, "bounding_box": box, "largest_segment_id": 9}
    layer = dataset.add_layer("segmentation", "segmentation", **kind)
    shards = {} if data_format == "zarr" else {"shard_shape": tuple(max(32, edge) for edge in chunk_shape)}
    labels = np.random.default_rng(7).integers(0, 9, tuple(layer.bounding_box.size)).astype(dtype)
    layer.add_mag(1, chunk_shape=chunk_shape, **shards).write(
        labels, absolute_bounding_box=layer.bounding_box, allow_unaligned=True
    )
    if downsample:
        layer.downsample(coarsest_mag=wk.Mag(2), sampling_mode="isotropic")
    return layer, labels


def in_place(box, labels):
    """Voxels of a box, (c, t, x, y, z), as an array from the origin on, without c."""
    whole = np.zeros(REACH, np.int64)
    whole[tuple(slice(*box.get_bounds(axis)) for axis in "txyz")] = labels[0]
    return whole


def voxels(layer, mag=1):
    """The voxels (t, x, y, z) from the origin on."""
    return in_place(layer.bounding_box.in_mag(wk.Mag(mag)), layer.get_mag(mag).read())


def merged_layer(folder, chunks, **options):
    file = volume_annotation(folder / "a.zip", zarr3_data_zip(chunks, axes="t"))
    annotation = wk.Annotation.load(file)
    annotation.merge_fallback_layer(folder / "merged", folder / "datasets", verify=True, **options)
    options.pop("link", None)
    return wk.Dataset.open(folder / "merged").get_layer("segmentation"), annotation.merged_layer(
        folder / "datasets", **options
    )


def painted(places, dtype):
    """Chunks of few labels by (t, x, y, z), the first of them erased."""
    noise = np.random.default_rng(len(places))
    chunks = {place: noise.integers(0, 4, (EDGE,) * 3).astype(dtype) for place in sorted(places)}
    return {place: chunk * (number > 0) for number, (place, chunk) in enumerate(chunks.items())}


place = st.tuples(st.integers(0, 8), st.integers(0, 2), st.integers(0, 2), st.integers(0, 1))
places = st.sets(place, min_size=1, max_size=4)
shapes = st.sampled_from([(16, 16, 16), (8, 64, 16), (32, 32, 32), (64, 4, 128)])
dtypes = st.sampled_from([("uint16", "uint16"), ("uint8", "uint32"), ("uint64", "uint16")])


@settings(max_examples=8)
@given(places, dtypes, shapes, st.sampled_from(["zarr", "zarr3"]), st.sampled_from(["chunk", "nonzero"]))
def test_any_merge_with_an_additional_axis_equals_one_of_arrays(places, dtypes, chunk_shape, data_format, policy):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _, labels = fallback_layer(folder, T_BOX, dtypes[0], data_format, chunk_shape=chunk_shape)
        expected = in_place(T_BOX, labels)
        chunks = painted(places, dtypes[1])
        layer, view = merged_layer(folder, chunks, policy=policy)
        for (t, *place), chunk in chunks.items():
            x, y, z = (slice(EDGE * at, EDGE * (at + 1)) for at in place)
            over = chunk if policy == "chunk" else np.where(chunk == 0, expected[t, x, y, z], chunk)
            expected[t, x, y, z] = over
        np.testing.assert_array_equal(voxels(layer), expected)
        assert layer.dtype == np.result_type(*dtypes)
        assert view.bounding_box == layer.bounding_box
        np.testing.assert_array_equal(view.get_mag(1).read(), layer.get_mag(1).read())
        np.testing.assert_array_equal(view.get_mag(2).read(), layer.get_mag(2).read())
        again = wk.Dataset(folder / "again", voxel_size=(4, 4, 40)).add_layer_like(layer, "segmentation")
        again.add_mag_as_copy(layer.get_mag(1))
        again.downsample(coarsest_mag=wk.Mag(2), sampling_mode="isotropic")
        np.testing.assert_array_equal(voxels(layer, 2), voxels(again, 2))


@pytest.mark.parametrize("data_format", ["zarr", "zarr3"])
def test_the_box_grows_along_additional_axes_to_the_touched_chunks(tmp_path, data_format):
    fallback_layer(tmp_path, T_BOX, data_format=data_format)
    layer, view = merged_layer(tmp_path, {(7, 2, 0, 0): np.full((EDGE,) * 3, 5, np.uint16)})
    grown = wk.NDBoundingBox((0, 2, 0, 0, 0), (1, 6, 96, 40, 32), ("c", "t", "x", "y", "z"))
    assert layer.bounding_box == view.bounding_box == grown
    for mag, edge in ((1, EDGE), (2, EDGE // 2)):
        assert zarr.open_array(layer.get_mag(mag).path, mode="r").shape[1] == 8
        found = voxels(layer, mag)
        assert (found[7, 2 * edge : 3 * edge, :edge, :edge] == 5).all()
        assert np.count_nonzero(found[5:]) == edge**3
    array = zarr.open_array(layer.get_mag(1).path, mode="r")
    np.testing.assert_array_equal(array[0, :, :96, :40, :32], voxels(layer)[:8, :96, :40, :32])


def test_only_painted_slices_are_written_anew(tmp_path):
    fallback, _ = fallback_layer(tmp_path, T_BOX)
    merged, _ = merged_layer(tmp_path, {(3, 0, 0, 0): np.full((EDGE,) * 3, 5, np.uint16)}, link="hard")
    folders = {mag: (fallback.get_mag(mag).path, merged.get_mag(mag).path) for mag in (1, 2)}
    for mag, (before, after) in folders.items():
        files = sorted(file.relative_to(before) for file in (before / "c").rglob("*") if file.is_file())
        changed = {str(file) for file in files if not (before / file).samefile(after / file)}
        assert changed == {"c/0/3/0/0/0"}, mag


def test_a_layer_without_a_fallback_keeps_its_additional_axes(tmp_path):
    chunks = painted({(4, 0, 1, 1), (6, 1, 0, 0)}, np.uint16)
    file = volume_annotation(tmp_path / "a.zip", zarr3_data_zip(chunks, axes="t"), fallback=None)
    wk.Annotation.load(file).merge_fallback_layer(tmp_path / "merged", tmp_path / "datasets")
    layer = wk.Dataset.open(tmp_path / "merged").get_layer("volume_layer")
    assert layer.bounding_box.get_bounds("t") == (4, 7)
    expected = np.zeros(REACH, np.int64)
    for (t, *place), chunk in chunks.items():
        expected[(t, *(slice(EDGE * at, EDGE * (at + 1)) for at in place))] = chunk
    np.testing.assert_array_equal(voxels(layer), expected)


FLAT_BOX = wk.BoundingBox((0, 0, 0), (64, 40, 32))
S_BOX = wk.NDBoundingBox((0, 2, 0, 0, 0), (1, 3, 64, 40, 32), ("c", "s", "x", "y", "z"))


@pytest.mark.parametrize(
    ("box", "data"),
    [
        (T_BOX, zarr3_data_zip({(0, 0, 0): np.ones((EDGE,) * 3, np.uint16)})),
        (T_BOX, wkw_data_zip({(0, 0, 0): np.ones((EDGE,) * 3, np.uint16)})),
        (FLAT_BOX, zarr3_data_zip({(3, 0, 0, 0): np.ones((EDGE,) * 3, np.uint16)}, axes="t")),
        (S_BOX, zarr3_data_zip({(3, 0, 0, 0): np.ones((EDGE,) * 3, np.uint16)}, axes="t")),
    ],
    ids=["flat over t", "wkw over t", "t over flat", "t over s"],
)
def test_other_additional_axes_than_the_fallbacks_are_refused_before_anything_is_written(tmp_path, box, data):
    fallback_layer(tmp_path, box, downsample=False)
    data_format = "zarr3" if b"zarr.json" in data else "wkw"
    annotation = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data, data_format=data_format))
    before = tree_state(tmp_path)
    with pytest.raises(MergeError, match="additional axes differ"):
        annotation.merge_fallback_layer(tmp_path / "merged", tmp_path / "datasets")
    assert tree_state(tmp_path) == before
    assert not (tmp_path / "merged").exists()


def test_several_annotations_with_an_additional_axis_lie_over_each_other(tmp_path):
    _, labels = fallback_layer(tmp_path, T_BOX)
    expected = in_place(T_BOX, labels)
    files = [
        volume_annotation(
            tmp_path / f"{label}.zip",
            zarr3_data_zip({(t, 0, 0, 0): np.full((EDGE,) * 3, label, np.uint16) for t in slices}, axes="t"),
        )
        for label, slices in ((5, (2, 3)), (6, (3, 4)))
    ]
    report = wk.merge_annotations(files, tmp_path / "merged", tmp_path / "datasets", verify=True)
    for t, label in ((2, 5), (3, 6), (4, 6)):
        expected[t, :EDGE, :EDGE, :EDGE] = label
    np.testing.assert_array_equal(voxels(wk.Dataset.open(tmp_path / "merged").get_layer("segmentation")), expected)
    assert [pair.voxels for pair in report.conflicts] == [EDGE**3]
    assert json.loads(json.dumps(report.to_json()))["bounding_box"]["size"] == [64, 40, 32]
