"""Calls that make the same at once: one of them has the folder to itself."""

import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager

import numpy as np
import pytest
from tests.buckets.faults import faulty, honest, times

import wkfast
from wkfast.dataset import claims
from wkfast.errors import DatasetError, ExistsError

LEFT = ".wkfast-left"


def near(folder, value):
    dataset = wkfast.Dataset(folder, voxel_size=(1, 1, 1))
    box = wkfast.BoundingBox((0, 0, 0), (64, 64, 64))
    layer = dataset.add_layer("l", "color", dtype="uint8", bounding_box=box, data_format="zarr3")
    layer.add_mag(1, shard_shape=32, chunk_shape=32).write(np.full((64, 64, 64), value, "uint8"))
    return layer


@contextmanager
def held(bucket, suits):
    """Yield the bucket behind a server that holds the first request that suits, what tells so, and what ends it."""
    begun, go_on = threading.Event(), threading.Event()

    def hold(handler, asked):
        begun.set()
        go_on.wait(120)
        return honest(handler, asked)

    with faulty(bucket, times(1, hold, suits)) as reached:
        try:
            yield reached, begun, go_on
        finally:
            go_on.set()


def is_chunk_put(asked):
    return asked.method == "PUT" and "/labels/1/c/" in asked.path


def test_who_comes_second_writes_nothing_into_the_folder_of_who_is_at_work(bucket, tmp_path):
    near(tmp_path / "one", 1)
    second = near(tmp_path / "two", 2)
    with held(bucket, is_chunk_put) as (reached, begun, go_on):
        address = f"s3://{bucket.name}/data"
        dataset = wkfast.Dataset(address, voxel_size=(1, 1, 1), storage_options=bucket.options)
        script = f"""
        import wkfast
        dataset = wkfast.Dataset.open({address!r}, storage_options={reached.options!r})
        dataset.add_layer_as_copy(wkfast.Dataset.open("one").get_layer("l"), "labels")
        """
        command = [sys.executable, "-c", textwrap.dedent(script)]
        with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True) as first:
            assert begun.wait(60), first.communicate(timeout=60)
            before = bucket.listed("data/")
            box = wkfast.BoundingBox((0, 0, 0), (64, 64, 64))
            for same in (
                lambda: dataset.add_layer_as_copy(second, "labels"),
                lambda: dataset.add_layer("labels", "color", dtype="uint8", bounding_box=box),
            ):
                with pytest.raises(ExistsError, match="another call makes it right now"):
                    same()
            assert set(bucket.listed("data/")) >= set(before)
            go_on.set()
            _, errors = first.communicate(timeout=60)
        assert first.returncode == 0, errors
    copied = wkfast.Dataset.open(dataset.path).get_layer("labels").get_mag(1).read()
    assert (copied == 1).all()
    assert not [key for key in bucket.listed("data") if key.endswith(LEFT)]


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(claims, "RENEWAL", 0.05)
    monkeypatch.setattr(claims, "SILENCE", 0.4)


@pytest.fixture
def folder(bucket):
    return wkfast.buckets.ObjectPath(f"s3://{bucket.name}/data/labels", bucket.options)


def of_another_machine(text):
    """Return a mark as one of a process of which nothing can be known here."""
    return b"elsewhere " + text.partition(b" ")[2]


def test_a_mark_is_put_anew_while_its_call_is_at_work(folder, quick):
    claim, was_left = claims.take(folder)
    assert not was_left
    first = (folder / LEFT).read(1000)
    seen = {first}
    for _ in range(200):
        seen.add((folder / LEFT).read(1000))
        if len(seen) > 2:
            break
    assert len(seen) > 2
    with pytest.raises(ExistsError):
        claims.take(folder)
    claim.check()
    claim.finish()
    assert (folder / LEFT).read(1000) is None
    assert not claims.is_free(folder)


def test_a_mark_that_nobody_puts_anew_is_taken_over_and_its_owner_told(folder, monkeypatch):
    monkeypatch.setattr(claims, "SILENCE", 0.4)
    claim, _ = claims.take(folder)
    (folder / LEFT).write(of_another_machine((folder / LEFT).read(1000)))
    other, was_left = claims.take(folder)
    assert was_left
    with pytest.raises(DatasetError, match="taken it over"):
        claim.check()
    other.check()
    claim.end()
    other.finish()


def test_a_mark_of_another_machine_that_changes_is_left_alone(folder, monkeypatch):
    monkeypatch.setattr(claims, "SILENCE", 20)
    claim, _ = claims.take(folder)
    text = of_another_machine((folder / LEFT).read(1000))
    (folder / LEFT).write(text)
    ended = threading.Event()

    def renew():
        count = 0
        while not ended.wait(0.05):
            count += 1
            (folder / LEFT).write(text + str(count).encode())

    renewing = threading.Thread(target=renew)
    renewing.start()
    try:
        with pytest.raises(ExistsError):
            claims.take(folder)
    finally:
        ended.set()
        renewing.join()
        claim.end()


def test_what_a_call_of_this_process_left_is_taken_over_at_once(folder):
    claim, _ = claims.take(folder)
    claim.end()
    other, was_left = claims.take(folder)
    assert was_left
    other.finish()


def test_a_forked_child_does_not_wait_for_threads_that_it_does_not_have(bucket):
    dataset = wkfast.Dataset(f"s3://{bucket.name}/data", voxel_size=(1, 1, 1), storage_options=bucket.options)
    box = wkfast.BoundingBox((0, 0, 0), (32, 32, 32))
    layer = dataset.add_layer("labels", "color", dtype="uint8", bounding_box=box, data_format="zarr3")
    layer.add_mag(1, shard_shape=32, chunk_shape=32)
    script = """
    import os, signal, threading, numpy as np, wkfast
    dataset = wkfast.Dataset.open(ADDRESS, storage_options=OPTIONS)
    mag = dataset.get_layer("labels").get_mag(1)
    block = np.ones((32, 32, 32), "uint8")
    thread = threading.Thread(target=lambda: mag.write(block, absolute_offset=(0, 0, 0)))
    thread.start()
    input()
    child = os.fork()
    if child == 0:
        signal.alarm(60)
        mag.write(block, absolute_offset=(0, 0, 0))
        os._exit(7)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    input()
    thread.join()
    """
    with held(bucket, is_chunk_put) as (reached, begun, go_on):
        code = textwrap.dedent(script).replace("ADDRESS", repr(str(dataset.path)))
        command = [sys.executable, "-c", code.replace("OPTIONS", repr(reached.options))]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with subprocess.Popen(command, **pipes) as parent:
            assert begun.wait(60)
            parent.stdin.write("\n")
            parent.stdin.flush()
            assert parent.stdout.readline() == "7\n"
            go_on.set()
            _, errors = parent.communicate("\n", timeout=60)
        assert parent.returncode == 0, errors
