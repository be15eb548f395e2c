"""Layers whose files nobody lists: what their shape has room for is taken for there, until it is read."""

import numpy as np
import pytest
from tests.buckets.test_merging import files, painted

import wkfast
from wkfast.buckets import ObjectPath
from wkfast.errors import WkfastError
from wkfast.merge.arrays import run_share
from wkfast.merge.job import MergeJob

UNLISTED = {"list": False}


@pytest.fixture(params=["zarr", "zarr3"])
def annotation(request, tmp_path):
    """One over a dataset in ``near``, of which some files are missing."""
    made = painted(tmp_path / "near", request.param)
    gone = [
        path for path in (tmp_path / "near").rglob("*") if path.is_file() and not path.name.startswith((".z", "zarr"))
    ]
    gone = sorted(path for path in gone if "labels/1/" in path.as_posix())
    assert len(gone) > 3
    for path in gone[::3]:
        path.unlink()
    return made


def test_a_merge_over_a_server_of_files_writes_what_one_over_a_folder_does(serve, annotation, tmp_path):
    address, asked = serve(tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    asked.clear()
    far = ObjectPath(address, UNLISTED)
    report = annotation.merge_fallback_layer(tmp_path / "found", far, verify=True)
    assert report is not None
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    merged = wkfast.Dataset.open(tmp_path / "expected").get_layer("labels").get_mag(1).read()
    np.testing.assert_array_equal(annotation.merged_layer(far).get_mag(1).read(), merged)


def test_a_stopped_merge_goes_on(serve, annotation, tmp_path):
    address, _ = serve(tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    job = annotation.plan_merge(tmp_path / "found", ObjectPath(address, UNLISTED))
    for task in range(3):
        run_share(MergeJob.from_json(job.to_json()), task, 3)
    run_share(MergeJob.from_json(job.to_json()))
    job.commit()
    assert files(tmp_path / "found") == files(tmp_path / "expected")


def test_a_bucket_that_may_not_be_listed(between, annotation, tmp_path):
    between.put(tmp_path / "near", "datasets")
    between.refuses = lambda method, path: method == "GET" and "list-type" in path
    far = ObjectPath(f"s3://{between.name}/datasets", between.options)
    with pytest.raises(WkfastError, match="does not allow it"):
        annotation.merge_fallback_layer(tmp_path / "refused", far)
    assert not (tmp_path / "refused").exists()
    unlisted = ObjectPath(f"s3://{between.name}/datasets", {**between.options, **UNLISTED})
    annotation.merge_fallback_layer(tmp_path / "found", unlisted)
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    target = ObjectPath(f"s3://{between.name}/merged", between.options)
    between.refuses = lambda _method, _path: False
    annotation.merge_fallback_layer(target, unlisted)
    there = {name for name, _ in target.files()}
    assert {name for name in files(tmp_path / "expected") if "labels" in name} <= there


def test_what_is_computed_of_it(serve, annotation, tmp_path):
    address, _ = serve(tmp_path / "near")
    near = wkfast.Dataset.open(tmp_path / "near/data").get_layer("labels")
    far = wkfast.Dataset.open(f"{address}/data", storage_options=UNLISTED).get_layer("labels")
    ours, theirs = far.segment_statistics(), near.segment_statistics()
    for name in theirs:
        np.testing.assert_array_equal(ours[name], theirs[name])
    copy = wkfast.Dataset(tmp_path / "copy", voxel_size=(11, 11, 25))
    copied = copy.add_layer_as_copy(far, "copied", chunk_shape=16, shard_shape=16)
    np.testing.assert_array_equal(copied.get_mag(1).read(), near.get_mag(1).read())


def test_a_format_without_a_shape_has_to_be_listed(serve, tmp_path):
    annotation = painted(tmp_path / "near", "wkw")
    address, _ = serve(tmp_path / "near")
    with pytest.raises(WkfastError, match="cannot be listed"):
        annotation.merge_fallback_layer(tmp_path / "out", ObjectPath(address, UNLISTED))
    assert not (tmp_path / "out").exists()
