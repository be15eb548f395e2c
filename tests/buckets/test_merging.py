"""Merges whose fallback lies in a bucket write what they write from a folder."""

import json
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from tests.buckets.conftest import SECRET
from tests.buckets.test_reading import made, one_shard

import wkfast
from wkfast.buckets import ObjectPath
from wkfast.errors import DatasetNotFoundError, MergeError, WkfastError


def painted(folder, data_format="zarr3", dataset_name="data", labels="labels"):
    """A dataset below `folder`, and an annotation over its labels."""
    dataset = made(folder / dataset_name, data_format, name=labels)
    skeleton = wkfast.Skeleton(dataset_name=dataset_name, voxel_size=(11, 11, 25))
    annotation = wkfast.Annotation("a", skeleton=skeleton)
    layer = annotation.add_volume_layer("paint", fallback_layer=dataset.get_layer(labels), volume_layer_id=0)
    with layer.edit(fallback=dataset.get_layer(labels)) as edited:
        edited.add_mag(1).write(np.full((1, 20, 20, 20), 7, np.uint32), absolute_offset=(30, 10, 50), allow_resize=True)
    return annotation


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and (path.suffix != ".json" or path.name == "zarr.json")
    }


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_a_fallback_in_a_bucket_is_merged_as_one_in_a_folder(bucket, tmp_path, data_format):
    annotation = painted(tmp_path / "near", data_format)
    far = ObjectPath(bucket.put(tmp_path / "near", "datasets"), bucket.options)
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    annotation.merge_fallback_layer(tmp_path / "found", far)
    assert files(tmp_path / "found") == files(tmp_path / "expected")
    view = annotation.merged_layer(far)
    there = wkfast.Dataset.open(tmp_path / "expected").get_layer("labels")
    np.testing.assert_array_equal(view.get_mag(1).read(), there.get_mag(1).read())
    assert not any(SECRET.encode() in path.read_bytes() for path in (tmp_path / "found").rglob("*") if path.is_file())


def test_secrets_are_in_no_plan_and_workers_find_them_in_the_environment(bucket, tmp_path, monkeypatch):
    annotation = painted(tmp_path / "near")
    far = ObjectPath(bucket.put(tmp_path / "near", "datasets"), bucket.options)
    job = annotation.plan_merge(tmp_path / "planned", far)
    assert SECRET not in job.to_json()
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool, pytest.raises(WkfastError) as caught:
        annotation.merge_fallback_layer(tmp_path / "refused", far, executor=pool)
    assert "put them in the environment" in str(caught.value)
    assert not (tmp_path / "refused" / "datasource-properties.json").exists()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        annotation.merge_fallback_layer(tmp_path / "found", far, executor=pool)
    assert files(tmp_path / "found") == files(tmp_path / "expected")


def test_the_command_line_takes_addresses(bucket, tmp_path, monkeypatch):
    annotation = painted(tmp_path / "near")
    annotation.save(tmp_path / "a.zip")
    address = bucket.put(tmp_path / "near", "datasets")
    monkeypatch.setenv("AWS_ENDPOINT_URL", bucket.endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    command = [sys.executable, "-m", "wkfast"]
    merge = [*command, "merge-fallback", str(tmp_path / "out"), str(tmp_path / "a.zip"), address]
    done = subprocess.run(merge, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    annotation.merge_fallback_layer(tmp_path / "expected", tmp_path / "near")
    assert files(tmp_path / "out") == files(tmp_path / "expected")
    counted = subprocess.run(
        [*command, "statistics", f"{address}/data", "labels"], capture_output=True, text=True, check=True
    )
    expected = wkfast.Dataset.open(tmp_path / "near" / "data").get_layer("labels").segment_statistics()
    assert len(counted.stdout.splitlines()) == len(expected["id"]) + 1


def test_a_fallback_that_cannot_be_had_leaves_nothing(bucket, serve, tmp_path):
    annotation = painted(tmp_path / "near")
    with pytest.raises(DatasetNotFoundError, match="no dataset at s3://"):
        annotation.merge_fallback_layer(tmp_path / "out", ObjectPath(f"s3://{bucket.name}/none", bucket.options))
    address, _ = serve(tmp_path / "near")
    with pytest.raises((MergeError, WkfastError), match="cannot be listed"):
        annotation.merge_fallback_layer(tmp_path / "out", address)
    assert not (tmp_path / "out").exists()


def test_ctrl_c_leaves_a_server_that_never_answers(tmp_path):
    silent = socket.create_server(("127.0.0.1", 0))
    script = f"""
    import wkfast
    print("go", flush=True)
    wkfast.Dataset.open("http://127.0.0.1:{silent.getsockname()[1]}/data")
    """
    child = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert child.stdout.readline() == b"go\n"
    connection, _ = silent.accept()
    time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    _, said = child.communicate(timeout=20)
    assert b"KeyboardInterrupt" in said
    connection.close()
    silent.close()


def test_what_is_read_of_a_shard_is_its_index_and_the_chunks_asked_for(serve, tmp_path):
    voxels = one_shard(tmp_path / "data", (256, 256, 64))
    address, asked = serve(tmp_path)
    view = wkfast.Dataset.open(f"{address}/data").get_layer("labels").get_mag(1)
    asked.clear()
    found = view.read(absolute_offset=(64, 64, 0), size=(32, 32, 32))
    np.testing.assert_array_equal(found[0], voxels[64:96, 64:96, :32])
    assert len(asked) == 2, asked
    asked.clear()
    view.read(absolute_offset=(96, 64, 0), size=(32, 32, 32))
    assert len(asked) == 1, asked
    assert json.dumps(asked).count("bytes=") == 1
