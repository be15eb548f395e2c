"""Merges into buckets write what they write into folders, from anywhere, and survive being killed."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from tests.annotation.test_merge_mapping import agglomerate
from tests.buckets.conftest import SECRET
from tests.buckets.test_merging import files, painted

import wkfast
from wkfast.buckets import ObjectPath
from wkfast.cli.merge_steps import read_plan
from wkfast.errors import MergeError, ObjectStoreError, TargetNotEmptyError, WkfastError
from wkfast.merge import merge_status

LAST = "datasource-properties.json"


def at(bucket, place):
    return ObjectPath(f"s3://{bucket.name}/{place}", bucket.options)


def objects(bucket, prefix):
    """What lies below a prefix, by the rest of its key, but what tells of times and of places."""
    found = {}
    for key in bucket.listed(f"{prefix}/"):
        name = key.removeprefix(f"{prefix}/")
        if not name.endswith(".json") or name.endswith("zarr.json"):
            found[name] = bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read()
    return found


@pytest.fixture
def credentials(bucket, monkeypatch):
    """As child processes find them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
@pytest.mark.parametrize("fallback", ["folder", "bucket"])
def test_a_bucket_gets_the_files_of_a_folder(bucket, tmp_path, data_format, fallback):
    annotation = painted(tmp_path / "near", data_format)
    datasets = tmp_path / "near"
    if fallback == "bucket":
        datasets = ObjectPath(bucket.put(tmp_path / "near", "datasets"), bucket.options)
    expected = annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    report = annotation.merge_fallback_layer(at(bucket, "out"), datasets, verify=True)
    assert objects(bucket, "out") == files(tmp_path / "expected")
    assert report.total.voxels_changed == expected.total.voxels_changed
    assert report.verified["shards"] == expected.total.shards_copied + expected.total.shards_rewritten
    assert not any(".wkfast-merge/" in key for key in bucket.listed("out"))
    told = wkfast.Dataset.open(at(bucket, "out"))
    near = wkfast.Dataset.open(tmp_path / "expected")
    assert told.get_layer("labels").bounding_box == near.get_layer("labels").bounding_box
    np.testing.assert_array_equal(
        told.get_layer("labels").get_mag(2).read(), near.get_layer("labels").get_mag(2).read()
    )
    everything = b"".join(
        bucket.client.get_object(Bucket=bucket.name, Key=key)["Body"].read() for key in bucket.listed("out")
    )
    assert SECRET.encode() not in everything


@pytest.mark.servers("s3s")
@pytest.mark.parametrize("same_bucket", [True, False])
def test_untouched_files_are_copied_by_the_server(bucket, s3_server, tmp_path, same_bucket):
    annotation = painted(tmp_path / "near", "zarr3")
    datasets = ObjectPath(bucket.put(tmp_path / "near", "data sets ü"), bucket.options)
    target = at(bucket, "out")
    if not same_bucket:
        bucket.client.create_bucket(Bucket=f"other-{bucket.name}")
        target = ObjectPath(f"s3://other-{bucket.name}/out", bucket.options)
    before = len(s3_server.asked())
    report = annotation.merge_fallback_layer(target, datasets)
    requests = s3_server.asked()[before:]
    assert report.total.shards_copied > 0
    read = {path for method, path in requests if method == "GET" and "/c/" in path and "/data%20sets" in path}
    written = [path for method, path in requests if method == "PUT" and "/c/" in path]
    assert len(written) == report.total.shards_copied + report.total.shards_rewritten
    assert len(read) <= report.total.shards_rewritten, "a file that was copied passed through here"


def test_the_same_merge_is_finished_and_another_one_refused(bucket, tmp_path):
    annotation = painted(tmp_path / "near")
    target = at(bucket, "out")

    def stop(done, *_):
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotation.plan_merge(target, tmp_path / "near").plan.run(progress=stop)
    begun = set(bucket.listed("out"))
    assert f"out/{LAST}" not in begun
    assert any(key.startswith("out/.wkfast-merge/done-") for key in begun)
    assert "out/.wkfast-merge/lock" not in begun
    with pytest.raises(TargetNotEmptyError, match="different merge"):
        annotation.merge_fallback_layer(target, tmp_path / "near", policy="nonzero")
    with pytest.raises(TargetNotEmptyError, match="unfinished merge"):
        annotation.merge_fallback_layer(target, tmp_path / "near", resume=False)
    annotation.merge_fallback_layer(target, tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert objects(bucket, "out") == files(tmp_path / "expected")
    with pytest.raises(TargetNotEmptyError, match="already holds a dataset"):
        annotation.merge_fallback_layer(target, tmp_path / "near")


@pytest.mark.servers("s3s")
def test_a_killed_merge_goes_on_where_it_was(bucket, credentials, tmp_path):
    annotation = painted(tmp_path / "near")
    annotation.save(tmp_path / "a.zip")
    address = f"s3://{bucket.name}/out"
    script = f"""
    import os, signal
    import wkfast
    def kill(done, *_):
        if done >= 3:
            os.kill(os.getpid(), signal.SIGKILL)
    annotation = wkfast.Annotation.load({str(tmp_path / "a.zip")!r})
    annotation.plan_merge({address!r}, {str(tmp_path / "near")!r}).plan.run(progress=kill, threads=1)
    """
    child = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, capture_output=True)
    assert child.returncode == -signal.SIGKILL, child.stderr.decode()
    left = bucket.listed("out")
    assert "out/.wkfast-merge/lock" in left
    assert f"out/{LAST}" not in left
    with pytest.raises(WkfastError):
        wkfast.Dataset.open(address)
    state = merge_status(address)
    assert (state.state.value, state.files_done >= 1, state.workers[0].gone) == ("stopped", True, True)
    wkfast.Annotation.load(tmp_path / "a.zip").merge_fallback_layer(address, tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert objects(bucket, "out") == files(tmp_path / "expected")


@pytest.mark.servers("s3s")
def test_processes_of_an_executor_write_into_a_bucket(bucket, credentials, tmp_path):
    annotation = painted(tmp_path / "near")
    datasets = bucket.put(tmp_path / "near", "datasets")
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        annotation.merge_fallback_layer(at(bucket, "out"), datasets, executor=pool, verify=True)
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert objects(bucket, "out") == files(tmp_path / "expected")
    assert not any(".wkfast-merge/" in key for key in bucket.listed("out"))


def wkfast_says(*arguments):
    done = subprocess.run([sys.executable, "-m", "wkfast", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_job_arrays_write_into_a_bucket(bucket, credentials, tmp_path):
    annotation = painted(tmp_path / "near")
    annotation.save(tmp_path / "a.zip")
    address, plan = f"s3://{bucket.name}/out", tmp_path / "merge.plan"
    wkfast_says("merge", "plan", plan, address, tmp_path / "a.zip", tmp_path / "near")
    assert SECRET not in read_plan(str(plan)).to_json()
    assert address in wkfast_says("merge", "script", plan, "--slurm")
    for task in range(2):
        wkfast_says("merge", "run", plan, "--task", task, "--tasks", 2)
    told = json.loads(wkfast_says("merge", "status", address, "--json"))
    assert (told["files_done"], told["target"]) == (told["files"], address)
    wkfast_says("merge", "commit", plan)
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert objects(bucket, "out") == files(tmp_path / "expected")
    assert json.loads(wkfast_says("merge", "status", plan, "--json"))["state"] == "committed"


@pytest.mark.servers("s3s")
def test_two_at_one_target_exclude_each_other(bucket, tmp_path):
    annotation = painted(tmp_path / "near")
    plan = annotation.plan_merge(at(bucket, "out"), tmp_path / "near").plan
    with plan.hold(), pytest.raises(TargetNotEmptyError, match=f"process {os.getpid()} on"):
        annotation.merge_fallback_layer(at(bucket, "out"), tmp_path / "near")
    annotation.merge_fallback_layer(at(bucket, "out"), tmp_path / "near")


def test_a_mapping_is_applied_on_the_way_into_a_bucket(bucket, tmp_path):
    annotation = painted(tmp_path / "near")
    mapping = {1: 100, 2: 200}
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near", mapping=mapping)
    annotation.merge_fallback_layer(at(bucket, "out"), tmp_path / "near", mapping=mapping)
    assert objects(bucket, "out") == files(tmp_path / "expected")
    assert all(name.startswith("out/") for name in bucket.listed()), "the table is gone"


def test_other_machines_find_the_mapping_of_a_plan(bucket, command, tmp_path):
    annotation = painted(tmp_path / "near")
    annotation.save(tmp_path / "a.zip")
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near", mapping={1: 100, 2: 200})
    plan = tmp_path / "merge.plan"
    (tmp_path / "of_the_planner").mkdir()
    mapping = agglomerate(tmp_path / "mapping.zarr", {1: 100, 2: 200})
    command(
        "merge", "plan", plan, at(bucket, "deep/out"), tmp_path / "a.zip", tmp_path / "near", "--mapping", mapping,
        TMPDIR=str(tmp_path / "of_the_planner"),
    )  # fmt: skip
    assert not list((tmp_path / "of_the_planner").iterdir())
    assert [name.endswith(".wkfast-mapping") for name in bucket.listed() if name.startswith("deep/.out.")] == [True]
    assert SECRET not in read_plan(str(plan)).to_json()
    for step in ("run", "commit"):
        command("merge", step, plan)
    assert objects(bucket, "deep/out") == files(tmp_path / "expected")
    assert all(name.startswith("deep/out/") for name in bucket.listed())


def test_a_mapping_that_cannot_be_kept_or_is_none_leaves_nothing(bucket, tmp_path):
    merge = painted(tmp_path / "near").merge_fallback_layer
    with pytest.raises(MergeError, match="is a whole bucket"):
        merge(at(bucket, ""), tmp_path / "near", mapping={1: 100})
    with pytest.raises(WkfastError, match="names label 1 twice"):
        merge(at(bucket, "out"), tmp_path / "near", mapping=([1, 1], [2, 3]))
    assert not bucket.listed()


def test_what_takes_no_result_is_refused_before_anything_is_written(bucket, serve, tmp_path):
    annotation = painted(tmp_path / "near")
    merge = annotation.merge_fallback_layer
    with pytest.raises(ObjectStoreError, match="no such bucket"):
        merge(ObjectPath("s3://no-such-bucket/out", bucket.options), tmp_path / "near")
    address, asked = serve(tmp_path)
    with pytest.raises(WkfastError, match="choose a bucket or a folder"):
        merge(f"{address}/out", tmp_path / "near")
    bucket.client.put_object(Bucket=bucket.name, Key="taken/notes.txt", Body=b"mine")
    with pytest.raises(TargetNotEmptyError, match=r"holds notes\.txt"):
        merge(at(bucket, "taken"), tmp_path / "near")
    with pytest.raises(MergeError, match="a bucket has no hard links"):
        merge(at(bucket, "out"), tmp_path / "near", link="hard")
    assert bucket.listed() == ["taken/notes.txt"]
    assert asked == []
