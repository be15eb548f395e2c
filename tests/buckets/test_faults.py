"""Faults on the wire: the right voxels or one clear error, no half of anything, and the same call works later."""

import os
import random as chances
import threading

import numpy as np
import pytest
from tests.buckets.conftest import ALL_SERVERS, SECRET
from tests.buckets.faults import (
    always,
    closed,
    cut,
    done_but_failed,
    faulty,
    late,
    lost,
    refused,
    replaced_then,
    reset,
    shifted,
    times,
    torn,
    whole,
)
from tests.buckets.test_merge_targets import at, objects
from tests.buckets.test_merging import files, painted
from tests.buckets.test_reading import BOX, made
from tests.buckets.test_writing import KINDS, fetched, new, written
from tests.buckets.test_writing import files as all_files

import wkfast
from wkfast.errors import ObjectStoreError, VolumeDataError, WkfastError

LAST = "datasource-properties.json"
# `make test-servers` takes more of everything.
ALL = bool(os.environ.get(ALL_SERVERS))
SEEDS = range(6 if ALL else 1)
# What is overcome.
PASSING = {
    "slow": refused("SlowDown"),
    "broken": refused("InternalError"),
    "reset": reset,
    "cut": cut,
    "torn": torn,
    "closed": closed,
    "lost": lost,
    "done, but failed": done_but_failed,
    "late": late(0.05),
}


def is_voxels(asked):
    """Whether voxels are read."""
    return (asked.method == "GET" and not asked.path.endswith((".json", ".zarray", ".wkw"))) or "/x0.wkw" in asked.path


@pytest.fixture
def stored(bucket, tmp_path):
    """Returns a function that puts a dataset of a format into the bucket."""

    def put(data_format):
        near = made(tmp_path / data_format, data_format)
        bucket.put(near.path, data_format)
        return near

    return put


def opened(reached, name):
    return wkfast.Dataset.open(f"s3://{reached.name}/{name}", storage_options=reached.options).get_layer("labels")


@pytest.mark.parametrize(
    ("data_format", "fault"),
    [
        (kind, fault)
        for kind in ("wkw", "zarr", "zarr3")
        for fault in PASSING
        if ALL or kind == "zarr3" or fault == "cut"
    ],
)
def test_reads_overcome_what_passes(bucket, stored, data_format, fault):
    near = stored(data_format).get_layer("labels")
    with faulty(bucket, times(2, PASSING[fault])) as reached:
        layer = opened(reached, data_format)
        reached.server.fault = times(2, PASSING[fault], is_voxels)
        np.testing.assert_array_equal(layer.get_mag(1).read(), near.get_mag(1).read())
        reached.server.fault = times(1, PASSING[fault])
        np.testing.assert_array_equal(layer.get_mag(1).read(**BOX), near.get_mag(1).read(**BOX))
        reached.server.fault = times(1, PASSING[fault])
        points = np.random.default_rng(1).integers(0, 90, (50, 3))
        np.testing.assert_array_equal(layer.values_at(points), near.values_at(points))


REFUSALS = {
    "expired": (refused("ExpiredToken"), "credentials have expired; get new ones"),
    "skewed": (refused("RequestTimeTooSkewed"), "the clock of this machine is not that of the server"),
    "whole": (whole, "sends whole files only"),
    "shifted": (shifted, r"Requested \d+\.\.\d+, got"),
}


@pytest.mark.parametrize("refusal", REFUSALS)
@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_what_does_not_pass_is_one_error_and_no_voxels(bucket, stored, data_format, refusal):
    near, (fault, said) = stored(data_format).get_layer("labels"), REFUSALS[refusal]
    with faulty(bucket) as reached:
        layer = opened(reached, data_format)
        reached.server.fault = always(fault, is_voxels)
        for read in (layer.get_mag(1).read, lambda: layer.values_at([[1, 2, 3]]), layer.segment_statistics):
            with pytest.raises((ObjectStoreError, VolumeDataError), match=said) as caught:
                read()
            assert SECRET not in str(caught.value)
        reached.server.fault = always(None)
        np.testing.assert_array_equal(layer.get_mag(1).read(), near.get_mag(1).read())


def test_what_never_ends_is_given_up_with_what_the_server_said(bucket, stored):
    """All at once, for each takes ten seconds."""
    stored("zarr3")
    said = {"slow": "SlowDown", "broken": "InternalError", "reset": "request failed", "torn": "request failed"}
    wrong = []

    def give_up(fault):
        with faulty(bucket) as reached:
            layer = opened(reached, "zarr3")
            reached.server.fault = always(PASSING[fault], is_voxels)
            try:
                wrong.append((fault, layer.get_mag(1).read().sum()))
            except (ObjectStoreError, VolumeDataError) as error:
                if said[fault] not in str(error):
                    wrong.append((fault, str(error)))

    threads = [threading.Thread(target=give_up, args=[fault]) for fault in said]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("how", [torn, None])
@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_an_object_that_changes_while_it_is_read_is_never_a_mixture(bucket, tmp_path, data_format, how):
    near = made(tmp_path / "near", data_format).get_layer("labels")
    other = made(tmp_path / "other", data_format, seed=8).get_layer("labels")
    bucket.put(tmp_path / "near", "data")
    (name,) = [path for path in (tmp_path / "near" / "labels" / "1").rglob("*") if path.is_file()][-1:]
    replacement = tmp_path / "other" / name.relative_to(tmp_path / "near")
    key = name.relative_to(tmp_path / "near").as_posix()
    expected = near.get_mag(1).read(), other.get_mag(1).read()
    with faulty(bucket) as reached:
        mag = opened(reached, "data").get_mag(1)
        for count in range(4):
            bucket.put(tmp_path / "near", "data")
            seen, fault = [], replaced_then(replacement.read_bytes(), how)

            def at_count(asked, seen=seen, fault=fault, count=count):
                if asked.method != "GET" or not asked.path.endswith(key):
                    return None
                seen.append(asked)
                return fault if len(seen) == count + 1 else None

            reached.server.fault = at_count
            try:
                found = mag.read()
            except (ObjectStoreError, VolumeDataError):
                continue
            for x, y, z in np.ndindex(2, 2, 2):
                box = (0, *(slice(64 * at, 64 * at + 64) for at in (x, y, z)))
                assert any(np.array_equal(found[box], one[box]) for one in expected)


class Chances:
    """A fault for those requests that chance picks; each request of the same kind is spared for a while."""

    def __init__(self, seed, share=0.15):
        self.random, self.share, self.spared = chances.Random(seed), share, {}

    def __call__(self, asked):
        name = asked.method, asked.path
        if self.spared.get(name, 0) > 0:
            self.spared[name] -= 1
            return None
        if self.random.random() > self.share:
            return None
        self.spared[name] = 2
        return PASSING[self.random.choice(list(PASSING))]


def everything(dataset, kind):
    """What writes, one after the other."""
    layer = written(dataset, *KINDS[kind])
    layer.downsample(coarsest_mag=wkfast.Mag(2))
    dataset.add_layer_as_copy(layer, "copy")
    layer.name = "renamed"
    dataset.delete_layer("copy")
    layer.delete_mag("2-2-1")
    layer.relabel({5: 6}, "relabelled")
    return dataset


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["wkw", "zarr3"])
def test_whatever_passes_what_is_written_is_what_a_folder_gets(bucket, tmp_path, kind, seed):
    near = everything(wkfast.Dataset(tmp_path / "data", voxel_size=(11, 11, 25)), kind)
    with faulty(bucket, Chances(seed)) as reached:
        everything(new(reached), kind)
    assert all_files(fetched(bucket, "data", tmp_path / "fetched")) == all_files(near.path)


@pytest.mark.parametrize("fault", [lost, closed, done_but_failed, refused("ConditionalRequestConflict")])
def test_conditional_puts_whose_answer_is_lost_or_put_off_are_done_once(bucket, fault):
    suits = lambda asked: asked.is_conditional  # noqa: E731
    with faulty(bucket, times(1, fault, suits)) as reached:
        path = at(reached, "note")
        version = path.write_if(b"first")
        assert version is not None
        reached.server.fault = times(1, fault, suits)
        assert (path.write_if(b"second"), path.read(9)) == (None, b"first")
        reached.server.fault = times(1, fault, suits)
        assert path.write_if(b"third", version) is not None
        reached.server.fault = times(1, fault, suits)
        assert (path.write_if(b"fourth", version), path.read(9)) == (None, b"third")


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_passes_merges_write_what_a_folder_gets(bucket, tmp_path, seed):
    annotation = painted(tmp_path / "near", ["zarr3", "wkw"][seed % 2])
    bucket.put(tmp_path / "near", "datasets")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    with faulty(bucket, Chances(seed)) as reached:
        annotation.merge_fallback_layer(at(reached, "out"), at(reached, "datasets"), verify=True)
    assert objects(bucket, "out") == files(tmp_path / "expected")
    assert not any(".wkfast-merge/" in key for key in bucket.listed("out"))


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestTimeTooSkewed"])
@pytest.mark.parametrize("after", [3, 12, 25, 40] if ALL else [25])
def test_a_merge_that_is_refused_half_way_is_finished_later(bucket, tmp_path, code, after):
    annotation = painted(tmp_path / "near")
    bucket.put(tmp_path / "near", "datasets")
    with faulty(bucket, lambda asked: refused(code) if asked.number >= after else None) as reached:
        with pytest.raises(WkfastError, match=r"expired; get new ones|clock of this machine|server does not allow"):
            annotation.merge_fallback_layer(at(reached, "out"), at(reached, "datasets"))
        assert f"out/{LAST}" not in bucket.listed("out")
        with pytest.raises(WkfastError):
            wkfast.Dataset.open(at(bucket, "out"))
        reached.server.fault = lambda _asked: None
        annotation.merge_fallback_layer(at(reached, "out"), at(reached, "datasets"))
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert objects(bucket, "out") == files(tmp_path / "expected")


@pytest.mark.parametrize("after", [2, 15, 30, 50] if ALL else [15])
def test_writes_that_are_refused_half_way_leave_a_dataset_and_work_later(bucket, tmp_path, after):
    near = written(wkfast.Dataset(tmp_path / "data", voxel_size=(11, 11, 25)), *KINDS["zarr3"])
    dataset = new(bucket)
    written(dataset, *KINDS["zarr3"])
    with faulty(bucket) as reached:
        layer = opened(reached, "data")
        reached.server.asked.clear()
        reached.server.fault = lambda asked: refused("ExpiredToken") if asked.number >= after else None
        try:
            layer.downsample(coarsest_mag=wkfast.Mag(2))
        except WkfastError as error:
            assert SECRET not in str(error)  # noqa: PT017
        reached.server.fault = lambda _asked: None
        there = wkfast.Dataset.open(dataset.path).get_layer("labels")
        np.testing.assert_array_equal(there.get_mag(1).read(), near.get_mag(1).read())
        if len(there.mags) == 1:
            opened(reached, "data").downsample(coarsest_mag=wkfast.Mag(2))
    near.downsample(coarsest_mag=wkfast.Mag(2))
    assert all_files(fetched(bucket, "data", tmp_path / "fetched")) == all_files(near.dataset.path)


@pytest.mark.parametrize("kind", ["uploads", "partNumber", "uploadId"])
def test_large_objects_are_sent_whole_though_answers_are_lost(bucket, tmp_path, kind):
    """Parts of 8 MiB each: what begins, sends and ends them is done, and nobody is told."""
    dataset = wkfast.Dataset(tmp_path / "near" / "data", voxel_size=(11, 11, 25))
    layer = dataset.add_layer("labels", "segmentation", dtype="uint32", data_format="zarr3", largest_segment_id=99)
    voxels = np.random.default_rng(0).integers(0, 1 << 32, (192, 192, 128), np.uint32)
    layer.add_mag(1, chunk_shape=32, shard_shape=256).write(voxels, allow_resize=True)
    annotation = wkfast.Annotation("a", skeleton=wkfast.Skeleton(dataset_name="data", voxel_size=(11, 11, 25)))
    volume = annotation.add_volume_layer("paint", fallback_layer=layer, volume_layer_id=0)
    with volume.edit(fallback=layer) as edited:
        edited.add_mag(1).write(np.full((1, 20, 20, 20), 7, np.uint32), absolute_offset=(30, 10, 50), allow_resize=True)
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    for fault in (lost, closed, done_but_failed):
        with faulty(bucket, times(1, fault, lambda asked: f"{kind}=" in asked.path)) as reached:
            annotation.merge_fallback_layer(at(reached, fault.__name__), tmp_path / "near")
            assert sum("partNumber=" in asked.path for asked in reached.server.asked) >= 3
        assert objects(bucket, fault.__name__) == files(tmp_path / "expected")
