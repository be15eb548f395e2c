"""Processes that read, write and rewrite one mag at once."""

import fcntl
import multiprocessing
import os
import pickle
import time
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import wkfast as wk
from wkfast.errors import VolumeDataError

SPAWN = multiprocessing.get_context("spawn")
EDGE = 64
# For how long processes share a shard, s. `make concurrency` takes longer.
SECONDS = float(os.environ.get("WKFAST_CONCURRENCY_SECONDS", "3"))


def version(number: int) -> NDArray:
    """A shard's voxels; they compress to very different sizes, so that no index fits another's file."""
    if number % 2 == 0:
        return np.full((1, EDGE, EDGE, EDGE), number + 1, np.uint32)
    return np.random.default_rng(number).integers(0, 2**32, (1, EDGE, EDGE, EDGE), np.uint32)


def new_mag(folder: Path, data_format: str, chunk: int = 16) -> wk.MagView:
    dataset = wk.Dataset(folder / "d", voxel_size=(4, 4, 4))
    layer = dataset.add_layer("l", "segmentation", dtype="uint32", data_format=data_format)
    mag = layer.add_mag(1, chunk_shape=chunk, shard_shape=EDGE)
    mag.write(version(0), allow_resize=True)
    return mag


def opened(folder: Path) -> wk.MagView:
    return wk.Dataset.open(folder / "d").get_layer("l").get_mag(1)


def rewrite(folder: Path, rounds: int) -> None:
    mag = opened(folder)
    for number in range(1, rounds):
        mag.write(version(number % 4))


@pytest.mark.parametrize("chunk", [16, EDGE], ids=["shard of many chunks", "file of one chunk"])
@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_a_box_is_read_from_one_state_of_its_shard(tmp_path: Path, data_format: str, chunk: int) -> None:
    mag = new_mag(tmp_path, data_format, chunk)
    states = [version(number) for number in range(4)]
    writer = SPAWN.Process(target=rewrite, args=(tmp_path, 120))
    writer.start()
    seen = set()
    while writer.is_alive():
        found = mag.read()
        part = mag.read(absolute_offset=(8, 8, 8), size=(32, 32, 32))
        (state,) = [number for number, voxels in enumerate(states) if np.array_equal(found, voxels)]
        assert any(np.array_equal(part, voxels[:, 8:40, 8:40, 8:40]) for voxels in states)
        seen.add(state)
    writer.join()
    assert writer.exitcode == 0
    assert len(seen) > 1


def count_up(folder: Path, place: int, seconds: float) -> int:
    """Write 1, 2, 3, … into one chunk of a shard until the time is over, and return the last number."""
    mag, number, ends = opened(folder), 0, time.monotonic() + seconds
    while number == 0 or time.monotonic() < ends:
        number += 1
        chunk = np.full((1, 32, 32, 32), number, np.uint32)
        mag.write(chunk, absolute_offset=(32 * place, 0, 0), allow_unaligned=True)
    return number


def watch(folder: Path, seconds: float) -> int:
    """Read until the time is over: a chunk holds one number, which never falls. Return how many reads saw a change."""
    mag, last, changes, ends = opened(folder), np.zeros(4, np.uint32), 0, time.monotonic() + seconds
    while time.monotonic() < ends:
        found = mag.read(absolute_offset=(0, 0, 0), size=(128, 32, 32))[0].reshape(4, -1)
        numbers = found[:, 0]
        assert (found == numbers[:, None]).all(), "half of a write is read"
        assert (numbers >= last).all(), f"{last} was read before {numbers}"
        changes += bool((numbers > last).any())
        last = numbers
    return changes


@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_eight_processes_share_a_shard(tmp_path: Path, data_format: str) -> None:
    """Four count in a chunk each, four look on: nobody undoes what another wrote, nobody sees half of it."""
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 4))
    layer = dataset.add_layer("l", "segmentation", dtype="uint32", data_format=data_format)
    mag = layer.add_mag(1, chunk_shape=32, shard_shape=128)
    mag.write(np.zeros((1, 128, 128, 32), np.uint32), allow_resize=True)
    # None begins before all have started.
    together = SPAWN.Barrier(8)
    with ProcessPoolExecutor(8, mp_context=SPAWN, initializer=together.wait) as pool:
        counting = [pool.submit(count_up, tmp_path, place, SECONDS) for place in range(4)]
        watching = [pool.submit(watch, tmp_path, SECONDS) for _ in range(4)]
        counted = [job.result() for job in counting]
        seen = [job.result() for job in watching]
    assert max(seen) > 0, "the readers saw nothing change"
    left = mag.read(absolute_offset=(0, 0, 0), size=(128, 32, 32))[0].reshape(4, -1)
    np.testing.assert_array_equal(left, np.broadcast_to(np.array(counted)[:, None], left.shape))


def write_waiting(folder: Path, started: "multiprocessing.synchronize.Event", result: "multiprocessing.Queue") -> None:
    mag = opened(folder)
    started.set()
    try:
        mag.write(version(2))
        result.put("written")
    except VolumeDataError as error:
        result.put(str(error))


def is_waiting(process: int) -> bool:
    """Whether a process waits for a lock."""
    return any(f" {process} " in line for line in Path("/proc/locks").read_text().splitlines() if "->" in line)


def recreate(mag: wk.MagView) -> None:
    layer = mag.layer
    layer.delete_mag(1)
    layer.add_mag(1, chunk_shape=32, shard_shape=EDGE)


CHANGES = {
    "rechunked": lambda mag: mag.rechunk(chunk_shape=32),
    "uncompressed": lambda mag: mag.rechunk(compress=False),
    "made again": recreate,
}


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="no list of locks on this system")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("data_format", ["wkw", "zarr3"])
def test_a_writer_that_waited_while_the_mag_was_rewritten_refuses(
    tmp_path: Path, data_format: str, change: str
) -> None:
    mag = new_mag(tmp_path, data_format)
    shard = next(path for path in mag.path.rglob("*") if path.name in {"x0.wkw", "0"} and path.is_file())
    started, result = SPAWN.Event(), SPAWN.Queue()
    with shard.with_name(shard.name + ".wkfast-part").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        writer = SPAWN.Process(target=write_waiting, args=(tmp_path, started, result))
        writer.start()
        assert started.wait(60)
        while writer.is_alive() and not is_waiting(writer.pid):
            time.sleep(0.01)
        CHANGES[change](mag)
    outcome = result.get(timeout=60)
    writer.join()
    assert "rewritten in another form" in outcome
    expected = np.zeros_like(version(0)) if change == "made again" else version(0)
    np.testing.assert_array_equal(opened(tmp_path).read(), expected)
    assert not list(opened(tmp_path).path.rglob("*.wkfast-part"))


def fill(view: wk.View) -> int:
    """Write into a view in another process, and return the sum of what was there."""
    found = int(view.read().sum())
    view.write(np.full((1, EDGE, EDGE, EDGE), 7, np.uint32))
    return found


@pytest.mark.parametrize("data_format", ["wkw", "zarr", "zarr3"])
def test_views_travel_to_other_processes(tmp_path: Path, data_format: str) -> None:
    """They held open files, which cannot be pickled; scripts for process pools could not be ported."""
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 4))
    box = wk.BoundingBox((0, 0, 0), (2 * EDGE, EDGE, EDGE))
    mag = dataset.add_layer("l", "color", dtype="uint32", data_format=data_format, bounding_box=box).add_mag(
        1, chunk_shape=EDGE, chunks_per_shard=1
    )
    mag.write(np.ones((1, 2 * EDGE, EDGE, EDGE), np.uint32))
    views = [mag, *mag.chunk((EDGE, EDGE, EDGE))]
    with ProcessPoolExecutor(2, mp_context=SPAWN) as pool:
        assert [*pool.map(fill, views[1:])] == [EDGE**3] * 2
    assert (mag.read() == 7).all()
    for view in views:
        for copy in (pickle.loads(pickle.dumps(view)), deepcopy(view)):
            assert (copy.bounding_box, copy.read_only, type(copy)) == (view.bounding_box, False, type(view))
            np.testing.assert_array_equal(copy.read(), view.read())
