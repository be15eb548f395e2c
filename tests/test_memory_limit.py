"""Little memory: told before work begins, and what waits for servers adapts."""

import subprocess
import sys
import textwrap

import pytest

from wkfast import _core
from wkfast.jobs import warn_if_scarce


def test_too_little_memory_is_told_with_what_to_do(monkeypatch):
    monkeypatch.setattr(_core, "memory_limit", lambda: 60_000_000)
    with pytest.warns(UserWarning, match=r"may take 60 MB of memory.*sbatch --mem"):
        warn_if_scarce()


@pytest.mark.parametrize("limit", [None, 1 << 30])
def test_enough_is_not_spoken_of(monkeypatch, recwarn, limit):
    monkeypatch.setattr(_core, "memory_limit", lambda: limit)
    warn_if_scarce()
    assert not recwarn


def run(code, **environment):
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, env=environment)


SOME = """
    import sys
    sys.path[:0] = {path!r}
    import numpy as np, wkfast as wk
    from wkfast import _core
    from wkfast.buckets import ObjectPath

    dataset = wk.Dataset("memory://bucket/d", voxel_size=(1, 1, 1))
    layer = dataset.add_layer("c", "color", dtype="uint32", bounding_box=wk.BoundingBox((0, 0, 0), (128, 128, 128)))
    voxels = np.random.default_rng(0).integers(0, 1 << 32, (128, 128, 128), np.uint32)
    layer.add_mag(1, chunk_shape=32, shard_shape=32).write(voxels)
    wk.Dataset("memory://bucket/e", voxel_size=(1, 1, 1)).add_layer_as_copy(layer, "copy")
    there = wk.Dataset.open("memory://bucket/e").get_layer("copy").get_mag(1).read()
    assert (there[0] == voxels).all()
    print(_core.bytes_in_flight())
"""


def test_work_is_done_within_the_least_and_the_same_comes_out():
    done = run(SOME.format(path=sys.path), WKFAST_BYTES_IN_FLIGHT=str(8 << 20))
    assert (done.returncode, done.stdout.strip()) == (0, str(8 << 20)), done.stderr


@pytest.mark.parametrize("nonsense", ["256M", "-1", "1000"])
def test_what_is_no_number_of_bytes_is_an_error_that_says_so(nonsense):
    done = run(SOME.format(path=sys.path), WKFAST_BYTES_IN_FLIGHT=nonsense)
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("wkfast.errors.EnvironmentVariableError: WKFAST_BYTES_IN_FLIGHT is"), done.stderr
    assert "expected a number of bytes from 8388608 on" in last
