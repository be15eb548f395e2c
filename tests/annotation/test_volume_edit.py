"""What is written into a volume layer is what comes back: from the annotation, from its file, from other readers."""

import io
import json
import subprocess
import sys
import tempfile
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.inputs import minimal_nml, volume_annotation, wkw_data_zip, write_zip, zarr3_data_zip

import wkfast as wk

FOLDER, MEMORY = wk.VolumeLayerEditMode.TEMPORARY_DIRECTORY, wk.VolumeLayerEditMode.MEMORY
MODES = pytest.mark.parametrize("mode", [FOLDER, MEMORY])
EDGE = 96


def chunks_of(layer):
    """Numbers of the chunks in the finest mag, as a set."""
    return set(map(tuple, layer.as_layer().get_finest_mag()._source.chunks().tolist()))


def voxels_of(layer):
    finest = layer.as_layer().get_finest_mag()
    return finest.read(absolute_offset=(0, 0, 0), size=(EDGE, EDGE, EDGE))[0]


def painted(seed):
    """Two chunks of labels, as a dictionary by chunk."""
    noise = np.random.default_rng(seed)
    return {
        place: noise.integers(1, 200, (32, 32, 32)).astype(np.uint16) // 50 * 50 for place in [(0, 1, 2), (2, 0, 0)]
    }


@pytest.fixture(params=["wkw", "zarr3", "zarr3 of 2024", "zarr3 of 2025"])
def annotation_file(request, tmp_path):
    chunks = painted(1)
    data = wkw_data_zip(chunks) if request.param == "wkw" else zarr3_data_zip(chunks, dialect=request.param)
    return volume_annotation(tmp_path / "a.zip", data, data_format=request.param[:5].strip(), fallback=None)


@MODES
def test_an_edit_changes_what_was_written_and_nothing_else(annotation_file, tmp_path, mode):
    annotation = wk.Annotation.load(annotation_file)
    layer = annotation.get_volume_layer()
    expected = voxels_of(layer)
    with layer.edit(edit_mode=mode) as edited:
        mag = edited.get_finest_mag()
        patch = np.full((1, 40, 5, 6), 999, np.uint16)
        mag.write(patch, absolute_offset=(20, 30, 60), allow_resize=True, allow_unaligned=True)
    expected[20:60, 30:35, 60:66] = 999
    assert np.array_equal(voxels_of(layer), expected)
    assert (layer.largest_segment_id, layer.data_format) == (999, wk.DataFormat.Zarr3)
    annotation.save(tmp_path / "again.zip")
    again = wk.Annotation.load(tmp_path / "again.zip").get_volume_layer()
    assert np.array_equal(voxels_of(again), expected)
    assert (again.largest_segment_id, again.data_format) == (999, wk.DataFormat.Zarr3)


def over_fallback(tmp_path, dtype="uint32"):
    """An annotation without data over a layer of random labels in two mags, that layer, and its voxels."""
    dataset = wk.Dataset(tmp_path / "datasets" / "d", voxel_size=(4, 4, 4))
    labels = np.random.default_rng(5).integers(1, 9, (64, 64, 64)).astype(np.uint16)
    fallback = dataset.write_layer("segmentation", "segmentation", labels, downsample=False, shard_shape=64)
    fallback.downsample(coarsest_mag=wk.Mag(2))
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 4))
    annotation.add_volume_layer("V", fallback_layer="segmentation", dtype=dtype)
    return annotation, fallback, labels


def write_into(layer, mode, boxes):
    with layer.edit(edit_mode=mode) as edited:
        mag = edited.add_mag(1)
        for corner, size in boxes:
            mag.write(np.ones(size, np.uint32), absolute_offset=corner, allow_resize=True, allow_unaligned=True)


@MODES
def test_new_chunks_written_in_part_are_warned_of_once(tmp_path, mode):
    annotation, *_ = over_fallback(tmp_path)
    layer = annotation.get_volume_layer()
    message = r"layer 'V': 2 new chunk\(s\).*erase the fallback layer 'segmentation'.*edit\(fallback=\.\.\.\)"
    boxes = [((30, 0, 0), (4, 8, 8)), ((32, 32, 32), (32, 32, 32)), ((34, 1, 1), (1, 1, 1))]
    with pytest.warns(UserWarning, match=message) as warned:
        write_into(layer, mode, boxes)
    assert len(warned) == 1
    assert warned[0].filename == __file__
    with layer.edit(edit_mode=mode) as edited:  # they are not new any more
        mag = edited.get_mag(1)
        mag.write(np.ones((2, 2, 2), np.uint32), absolute_offset=(8, 8, 8), allow_resize=True, allow_unaligned=True)


@MODES
def test_chunks_that_parts_make_whole_are_not_warned_of(tmp_path, mode):
    annotation, *_ = over_fallback(tmp_path)
    with annotation.get_volume_layer().edit(edit_mode=mode) as edited:
        mag = edited.add_mag(1)
        edited.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
        for z in range(0, 32, 8):
            mag.write(np.ones((32, 32, 8), np.uint32), absolute_offset=(0, 0, z), allow_unaligned=True)


@MODES
def test_new_chunks_take_the_rest_from_the_fallback_that_is_given(tmp_path, mode):
    annotation, fallback, labels = over_fallback(tmp_path)
    layer = annotation.get_volume_layer()
    with layer.edit(edit_mode=mode, fallback=fallback) as edited:
        fine, coarse = edited.add_mag(1), edited.add_mag(2)
        patch = np.full((20, 4, 40), 77, np.uint32)
        fine.write(patch, absolute_offset=(30, 10, 5), allow_resize=True, allow_unaligned=True)
        erased = np.zeros((2, 2, 2), np.uint32)
        fine.write(erased, absolute_offset=(32, 0, 0), allow_resize=True, allow_unaligned=True)
        coarse.write(
            np.full((3, 3, 3), 78, np.uint32), absolute_offset=(2, 2, 2), allow_resize=True, allow_unaligned=True
        )
    annotation.save(tmp_path / "a.zip")
    wk.Annotation.load(tmp_path / "a.zip").merge_fallback_layer(tmp_path / "merged", tmp_path / "datasets")
    merged = wk.Dataset.open(tmp_path / "merged").get_layer("segmentation")
    expected = labels.astype(np.uint32)
    expected[30:50, 10:14, 5:45] = 77
    expected[32:34, :2, :2] = 0
    np.testing.assert_array_equal(merged.get_mag(1).read()[0], expected)
    coarser = fallback.get_mag(2).read()[0].astype(np.uint32)
    coarser[1:4, 1:4, 1:4] = 78
    np.testing.assert_array_equal(merged.get_mag(2).read()[0], coarser)


@MODES
def test_a_mag_that_is_made_again_has_only_new_chunks(tmp_path, mode):
    annotation, fallback, labels = over_fallback(tmp_path)
    layer = annotation.get_volume_layer()
    with layer.edit(edit_mode=mode, fallback=fallback) as edited:
        patch = np.full((4, 4, 4), 77, np.uint32)
        for again in (False, True):
            mag = edited.add_mag(1)
            edited.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
            mag.write(patch, absolute_offset=(8, 8, 8), allow_unaligned=True)
            if not again:
                edited.delete_mag(1)
    expected = labels[:32, :32, :32].astype(np.uint32)
    expected[8:12, 8:12, 8:12] = 77
    np.testing.assert_array_equal(voxels_of(layer)[:32, :32, :32], expected)


def test_threads_that_share_a_new_chunk_fill_it_once(tmp_path):
    annotation, fallback, labels = over_fallback(tmp_path)
    layer = annotation.get_volume_layer()
    with layer.edit(fallback=fallback) as edited, ThreadPoolExecutor(4) as pool:
        mag = edited.add_mag(1)
        edited.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))

        def paint(at):
            mag.write(np.full((2, 2, 2), 90, np.uint32), absolute_offset=(2 * at, 0, 0), allow_unaligned=True)

        list(pool.map(paint, range(16)))
    expected = labels[:32, :32, :32].astype(np.uint32)
    expected[:, :2, :2] = 90
    assert np.array_equal(voxels_of(layer)[:32, :32, :32], expected)


def test_another_fallback_than_the_annotations_is_refused(tmp_path):
    annotation, fallback, _ = over_fallback(tmp_path, dtype="uint8")
    layer = annotation.get_volume_layer()
    with (
        pytest.raises(ValueError, match="too small for labels of 'segmentation', uint16"),
        layer.edit(fallback=fallback),
    ):
        pass
    other = fallback.dataset.add_layer("other", "segmentation", dtype="uint8")
    with pytest.raises(ValueError, match="is 'segmentation', not 'other'"), layer.edit(fallback=other):
        pass
    with pytest.raises(AssertionError, match="uint8 cannot hold the labels of its fallback layer 'segmentation'"):
        annotation.add_volume_layer("narrow", fallback, dtype="uint8")


@MODES
def test_erased_chunks_survive_every_road(annotation_file, tmp_path, mode):
    annotation = wk.Annotation.load(annotation_file)
    layer = annotation.get_volume_layer()
    before = chunks_of(layer)
    with layer.edit(edit_mode=mode) as edited:
        mag = edited.get_finest_mag()
        for corner in ((0, 32, 64), (64, 64, 64)):  # one that was painted, one that the annotation did not have
            mag.write(np.zeros((32, 32, 32), np.uint16), absolute_offset=corner, allow_resize=True)
    assert chunks_of(layer) == before | {(2, 2, 2)}
    with layer.edit(edit_mode=mode):
        pass  # the reference package drops chunks of zeros even then
    annotation.save(tmp_path / "again.zip")
    again = wk.Annotation.load(tmp_path / "again.zip").get_volume_layer()
    assert chunks_of(again) == before | {(2, 2, 2)}


@MODES
def test_what_was_erased_stays_erased_in_a_merge(tmp_path, mode):
    fallback = wk.Dataset(tmp_path / "datasets" / "dataset", voxel_size=(4, 4, 40))
    full = np.full((EDGE, EDGE, EDGE), 5, np.uint16)
    fallback.write_layer("segmentation", "segmentation", full, downsample=False)
    annotation = wk.Annotation("a", dataset_name="dataset", voxel_size=(4, 4, 40))
    layer = annotation.add_volume_layer("V", fallback_layer="segmentation", dtype="uint16")
    with layer.edit(edit_mode=mode) as edited:
        edited.add_mag(1).write(np.zeros((32, 32, 32), np.uint16), absolute_offset=(32, 32, 32), allow_resize=True)
    annotation.save(tmp_path / "a.zip")
    wk.Annotation.load(tmp_path / "a.zip").merge_fallback_layer(tmp_path / "merged", tmp_path / "datasets")
    merged = wk.Dataset.open(tmp_path / "merged").get_layer("segmentation").get_mag(1).read()[0]
    full[32:64, 32:64, 32:64] = 0
    assert np.array_equal(merged, full)


def write_zeros(folder, topleft):
    """What another process does: it opens the dataset of an edit by its path."""
    mag = wk.Dataset.open(folder).get_layer("volumeAnnotationData").get_mag(1)
    mag.write(np.zeros((32, 32, 32), np.uint32), absolute_offset=topleft, allow_unaligned=True)


def test_erasures_are_kept_however_the_edited_layer_was_reached(tmp_path):
    """Zeros written through the layer's dataset, here or in another process, left no chunk: nothing was erased."""
    annotation, fallback, labels = over_fallback(tmp_path)
    layer = annotation.get_volume_layer()
    with layer.edit(fallback=fallback) as edited:
        edited.add_mag(1)
        edited.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
        with ProcessPoolExecutor(1) as pool:
            pool.submit(write_zeros, edited.dataset.path, (32, 0, 0)).result()
        write_zeros(edited.dataset.path, (32, 32, 0))
        same = edited.dataset.get_layer(edited.name).get_mag(1)
        same.write(np.zeros((32, 32, 8), np.uint32), absolute_offset=(0, 0, 0), allow_unaligned=True)
        copy = wk.Dataset(tmp_path / "copy", voxel_size=(4, 4, 4)).add_layer_as_copy(edited, "copy")
    expected = np.zeros((64, 64, 64), np.uint32)
    expected[:32, :32, 8:32] = labels[:32, :32, 8:32]
    assert chunks_of(layer) == {(0, 0, 0), (1, 0, 0), (1, 1, 0)}
    assert np.array_equal(voxels_of(layer)[:64, :64, :64], expected)
    assert not any("wkfast" in key for each in (copy, layer.as_layer()) for key in each._properties.json)


def test_a_chunk_that_somebody_removed_is_an_erasure(tmp_path):
    file = volume_annotation(tmp_path / "a.zip", zarr3_data_zip(painted(1)))
    layer = wk.Annotation.load(file).get_volume_layer()
    before = chunks_of(layer)
    with layer.edit() as edited:
        # zarr drops chunks that become zero, as other processes may.
        array = __import__("zarr").open_array(edited.get_finest_mag().path, mode="r+")
        array[:] = 0
    assert chunks_of(layer) == before
    assert not voxels_of(layer).any()


boxes = st.tuples(*[st.integers(0, EDGE - 1)] * 3, *[st.integers(1, 50)] * 3)
edits = st.lists(st.tuples(boxes, st.sampled_from([0, 1, 7, 65535])), max_size=5)


@settings(max_examples=15)
@given(st.sampled_from([FOLDER, MEMORY]), st.booleans(), st.lists(edits, min_size=1, max_size=2))
def test_any_sequence_of_edits_equals_an_array(mode, wkw, rounds):
    # On network mounts a zip that is still open keeps its folder from going.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        chunks = painted(3)
        data = wkw_data_zip(chunks) if wkw else zarr3_data_zip(chunks)
        file = volume_annotation(Path(folder) / "a.zip", data, data_format="wkw" if wkw else "zarr3", fallback=None)
        annotation = wk.Annotation.load(file)
        model = voxels_of(annotation.get_volume_layer())
        touched = chunks_of(annotation.get_volume_layer())
        for writes in rounds:
            with annotation.get_volume_layer().edit(edit_mode=mode) as edited:
                mag = edited.get_finest_mag()
                for (x, y, z, *size), label in writes:
                    part = model[x : x + size[0], y : y + size[1], z : z + size[2]]
                    part[:] = label
                    mag.write(part.copy(), absolute_offset=(x, y, z), allow_resize=True, allow_unaligned=True)
                    spans = [range(a // 32, (a + n - 1) // 32 + 1) for a, n in zip((x, y, z), part.shape, strict=True)]
                    touched |= {(i, j, k) for i in spans[0] for j in spans[1] for k in spans[2]}
                assert np.array_equal(mag.read(absolute_offset=(0, 0, 0), size=(EDGE,) * 3)[0], model)
            annotation.save(file)
            annotation = wk.Annotation.load(file)
            assert np.array_equal(voxels_of(annotation.get_volume_layer()), model)
            assert chunks_of(annotation.get_volume_layer()) == touched


@MODES
def test_an_exception_leaves_the_layer_as_it_was(annotation_file, mode):
    layer = wk.Annotation.load(annotation_file).get_volume_layer()
    before, data = voxels_of(layer), layer.data

    class NotTodayError(Exception):
        pass

    def change_your_mind(edited):
        edited.get_finest_mag().write(np.ones((32, 32, 32), np.uint16), absolute_offset=(0, 0, 0), allow_resize=True)
        raise NotTodayError

    with pytest.raises(NotTodayError), layer.edit(edit_mode=mode) as edited:
        change_your_mind(edited)
    assert layer.data is data
    assert np.array_equal(voxels_of(layer), before)


@MODES
def test_untouched_chunks_are_copied_as_they_are_encoded(tmp_path, mode):
    data = zarr3_data_zip(painted(1))
    layer = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data)).get_volume_layer()
    with layer.edit(edit_mode=mode) as edited:
        edited.get_finest_mag().write(np.ones((32, 32, 32), np.uint16), absolute_offset=(64, 0, 0), allow_resize=True)
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(layer.data.path) as after:
        assert after.read("volumeAnnotationData/1/c.0.0.1.2") == before.read("volumeAnnotationData/1/c.0.0.1.2")
        described = json.loads(after.read("volumeAnnotationData/1/zarr.json"))
        assert described["chunk_grid"]["configuration"]["chunk_shape"] == [1, 32, 32, 32]
        assert [codec["name"] for codec in described["codecs"]] == ["transpose", "bytes", "blosc"]
        assert described["chunk_key_encoding"] == {"name": "default", "configuration": {"separator": "."}}


@MODES
def test_additional_axes_are_carried_through_an_edit(tmp_path, mode):
    data = zarr3_data_zip({(4, 0, 1, 2): painted(1)[0, 1, 2]}, axes="t")
    layer = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data)).get_volume_layer()
    with layer.edit(edit_mode=mode):
        pass
    assert chunks_of(layer) == {(4, 0, 1, 2)}
    with zipfile.ZipFile(layer.data.path) as archive:
        (described,) = json.loads(archive.read("datasource-properties.json"))["dataLayers"]
    assert described["additionalAxes"] == [{"name": "t", "index": 1, "bounds": [0, 10]}]
    assert described["mags"][0]["axisOrder"] == {"c": 0, "t": 1, "x": 2, "y": 3, "z": 4}


@MODES
def test_new_chunks_with_additional_axes_are_not_filled_from_a_fallback(tmp_path, mode):
    data = zarr3_data_zip({(4, 0, 1, 2): painted(1)[0, 1, 2]}, axes="t")
    layer = wk.Annotation.load(volume_annotation(tmp_path / "a.zip", data)).get_volume_layer()
    before = layer.data
    _, flat, _ = over_fallback(tmp_path)
    message = "volume layer 'V' has the additional axes t; edit without fallback="
    with pytest.raises(ValueError, match=message), layer.edit(edit_mode=mode, fallback=flat):
        pass
    assert layer.data is before
    assert not layer.is_edited
    part = wk.NDBoundingBox((0, 4, 64, 64, 64), (1, 1, 8, 8, 8), ("c", "t", "x", "y", "z"))
    with (
        pytest.warns(UserWarning, match=r"erase the fallback layer 'segmentation'\. Write whole chunks$"),
        layer.edit(edit_mode=mode) as edited,
    ):
        edited.get_mag(1).write(np.ones((1, 1, 8, 8, 8), np.uint16), absolute_bounding_box=part, allow_unaligned=True)
    annotation, *_ = over_fallback(tmp_path / "flat")
    box = wk.NDBoundingBox((0, 2, 0, 0, 0), (1, 3, 64, 64, 64), ("c", "t", "x", "y", "z"))
    dataset = wk.Dataset(tmp_path / "deep", voxel_size=(4, 4, 4))
    deep = dataset.add_layer("segmentation", "segmentation", dtype="uint16", data_format="zarr3", bounding_box=box)
    with (
        pytest.raises(ValueError, match="layer 'segmentation' has the additional axes t"),
        annotation.get_volume_layer().edit(edit_mode=mode, fallback=deep),
    ):
        pass


def test_threads_may_write_at_once_in_memory(tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    layer = annotation.add_volume_layer("V", dtype="uint64")
    with layer.edit(edit_mode=MEMORY) as edited, ThreadPoolExecutor(4) as pool:
        mag = edited.add_mag(1)
        edited.bounding_box = wk.BoundingBox((0, 0, 0), (EDGE,) * 3)

        def paint(at):
            label = np.full((8, 8, 8), 2**64 - 1 - at, np.uint64)
            mag.write(label, absolute_offset=(8 * at, 0, 0), allow_unaligned=True)

        list(pool.map(paint, range(12)))
    labels = voxels_of(layer)[::8, 0, 0]
    assert labels.tolist() == [2**64 - 1 - at for at in range(12)]
    assert layer.largest_segment_id == 2**64 - 1


def test_memory_refuses_executors_with_processes(tmp_path):
    layer = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1)).add_volume_layer("V")
    with (
        ProcessPoolExecutor(1) as pool,
        pytest.raises(ValueError, match="SequentialExecutor"),
        layer.edit(edit_mode=MEMORY, executor=pool),
    ):
        pytest.fail("not reached")
    with ThreadPoolExecutor(1) as pool, layer.edit(edit_mode=MEMORY, executor=pool) as edited:
        edited.add_mag(1)


def test_layers_without_data_say_what_to_do(tmp_path):
    body = '<volume id="0" name="V" location="gone.zip" />'
    with pytest.warns(UserWarning, match=r"gone\.zip"):
        annotation = wk.Annotation.load(write_zip(tmp_path / "a.zip", {"a.nml": minimal_nml(body)}))
    layer = annotation.get_volume_layer()
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(1, 1, 1))
    for attempt in (layer.as_layer, lambda: layer.export_to_dataset(dataset), lambda: layer.edit().__enter__()):
        with pytest.raises(ValueError, match=r"gone\.zip.*Download"):
            attempt()
        with pytest.raises(AssertionError):
            attempt()


def test_several_layers_are_edited_apart_and_an_empty_one_stays_empty(tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    for name, label in (("x", 3), ("y", 4)):
        with annotation.add_volume_layer(name, dtype="uint8").edit() as edited:
            box = (EDGE,) * 3
            edited.add_mag(2).write(np.full(box, label, np.uint8), absolute_offset=(0, 0, 0), allow_resize=True)
    with annotation.add_volume_layer("z").edit():
        pass
    annotation.save(tmp_path / "a.zip")
    with pytest.warns(UserWarning, match="'z' has no data"):
        again = wk.Annotation.load(tmp_path / "a.zip")
    found = [again.get_volume_layer(name).as_layer().get_mag(2).read() for name in "xy"]
    assert [np.unique(labels).tolist() for labels in found] == [[3], [4]]


@MODES
def test_a_second_edit_beside_an_open_one_is_refused(annotation_file, mode):
    annotation = wk.Annotation.load(annotation_file)
    layer = annotation.get_volume_layer()
    with layer.edit(edit_mode=mode):
        with pytest.raises(AssertionError, match="being edited already"), layer.edit(edit_mode=mode):
            pass
        assert layer.is_edited
    with layer.edit(edit_mode=mode):
        pass
    assert not layer.is_edited


def test_coarser_mags_are_made_anew_on_request(tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    layer = annotation.add_volume_layer("x", dtype="uint8")
    with layer.edit() as edited:
        for mag in (1, 2):
            edited.add_mag(mag)
    labels = np.repeat(np.repeat(np.repeat(np.arange(1, 65, dtype=np.uint8).reshape(4, 4, 4), 16, 0), 16, 1), 16, 2)
    with layer.edit(redownsample=True) as edited:
        edited.get_mag(1).write(labels, absolute_offset=(0, 0, 0), allow_resize=True)
    coarse = layer.as_layer().get_mag(2).read(absolute_offset=(0, 0, 0), size=(64, 64, 64))
    assert np.array_equal(coarse[0], labels[::2, ::2, ::2])
    with layer.edit(redownsample=True) as edited:
        edited.get_mag(1).write(np.zeros_like(labels), absolute_offset=(0, 0, 0))
    assert not layer.as_layer().get_mag(2).read(absolute_offset=(0, 0, 0), size=(64, 64, 64)).any()


def test_coarser_mags_are_not_made_of_painted_voxels_alone_over_a_fallback(tmp_path):
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(1, 1, 1))
    over = annotation.add_volume_layer("x", fallback_layer="segmentation")
    with pytest.raises(ValueError, match="fallback layer 'segmentation'"), over.edit(redownsample=True):
        pass
    alone = annotation.add_volume_layer("y")
    with pytest.raises(ValueError, match="TEMPORARY_DIRECTORY"), alone.edit(edit_mode=MEMORY, redownsample=True):
        pass


TEMPORARY = """
import os, signal, sys, tempfile, threading
from pathlib import Path
import numpy as np
import wkfast as wk

layer = wk.Annotation.load(sys.argv[1]).get_volume_layer()
mode = wk.VolumeLayerEditMode(sys.argv[2])

def stop(done, total):
    os.kill(os.getpid(), signal.SIGINT)

try:
    with layer.edit(edit_mode=mode, progress=stop) as edited:
        edited.get_finest_mag().write(np.ones((32, 32, 32), np.uint16), absolute_offset=(0, 0, 0), allow_resize=True)
except KeyboardInterrupt:
    print("interrupted")
try:
    with layer.edit(edit_mode=mode):
        raise ZeroDivisionError
except ZeroDivisionError:
    print("raised")
with layer.edit(edit_mode=mode):
    pass
print(len(os.listdir(tempfile.gettempdir())))
"""


@MODES
def test_nothing_temporary_is_left(tmp_path, mode):
    file = volume_annotation(tmp_path / "a.zip", zarr3_data_zip(painted(1)))
    folder = tmp_path / "tmp"
    folder.mkdir()
    command = [sys.executable, "-c", TEMPORARY, file, mode.value]
    done = subprocess.run(command, capture_output=True, text=True, env={"TMPDIR": str(folder)}, check=False)
    assert done.stdout.split() == ["interrupted", "raised", "1"], done.stderr
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(
    ("id_", "segment"),
    [
        (5.5, wk.SegmentInformation()),
        (5, None),
        (5, wk.SegmentInformation(color=(1, 2))),
        (5, wk.SegmentInformation(color="red")),
        ("five", wk.SegmentInformation()),
    ],
)
def test_segments_that_cannot_be_written_are_named(tmp_path, id_, segment):
    """5.5 was written as 5; the others ended in errors that named neither layer nor segment."""
    annotation = wk.Annotation("a", dataset_name="d", voxel_size=(4, 4, 4))
    annotation.add_volume_layer("V").segments[id_] = segment
    with pytest.raises(AssertionError, match=f"volume layer 'V': segment {id_!r}"):
        annotation.save(tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
