"""File systems without locks: a filter of the system's makes ``flock`` fail as it does there."""

import json
import os
import platform
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import wkfast as wk

FLOCK = {"x86_64": 73, "aarch64": 32}
pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() not in FLOCK, reason="filters of system calls are Linux's"
)

FILTER = """
import ctypes, errno, os, sys, warnings, json
warnings.simplefilter("always")

def filtered(number):
    # From now on the call fails with ENOLCK, in this process and those it starts.
    class Code(ctypes.Structure):
        _fields_ = [("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint)]
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("codes", ctypes.POINTER(Code))]
    codes = (Code * 4)(Code(0x20, 0, 0, 0), Code(0x15, 0, 1, number), Code(0x06, 0, 0, 0x00050000 | errno.ENOLCK),
                       Code(0x06, 0, 0, 0x7FFF0000))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(38, 1, 0, 0, 0) or libc.prctl(22, 2, ctypes.byref(Program(4, codes)), 0, 0):
        print("no filters", os.strerror(ctypes.get_errno()))
        sys.exit(77)

filtered(int(sys.argv[1]))
import numpy as np
import wkfast as wk
"""


def start(script: str, *arguments: object) -> subprocess.Popen:
    number = FLOCK[platform.machine()]
    command = [sys.executable, "-c", FILTER + script, str(number), *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen) -> tuple[str, str]:
    out, told = process.communicate(timeout=100)
    if process.returncode == 77:
        pytest.skip(out)
    assert process.returncode == 0, told[-3000:]
    return out, told


def leases(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if ".wkfast-" in path.name]


def test_a_layer_is_written_and_the_user_is_told_once(tmp_path: Path) -> None:
    script = """
from wkfast import _core
import fcntl
try:
    fcntl.flock(0, fcntl.LOCK_EX)
except OSError as error:
    assert error.errno == errno.ENOLCK
dataset = wk.Dataset(sys.argv[2], voxel_size=(4, 4, 40))
data = np.arange(64**3, dtype="uint32").reshape(64, 64, 64)
for data_format in ("wkw", "zarr", "zarr3"):
    shard = None if data_format == "zarr" else 64
    dataset.write_layer(data_format, "segmentation", data, data_format=data_format, shard_shape=shard)
dataset.get_layer("wkw").get_mag(1).rechunk(chunk_shape=32, shard_shape=32)
dataset.add_layer_as_copy(dataset.get_layer("zarr"), "copy", data_format="zarr3", shard_shape=64)
dataset.delete_layer("zarr")
"""
    _, told = finished(start(script, tmp_path / "d"))
    assert told.count("the file system has no locks") == 1, told
    dataset = wk.Dataset.open(tmp_path / "d")
    data = np.arange(64**3, dtype="uint32").reshape(64, 64, 64)
    for name in ("wkw", "zarr3", "copy"):
        np.testing.assert_array_equal(dataset.get_layer(name).get_mag(1).read()[0], data)
    assert leases(tmp_path) == []


def test_processes_that_write_one_shard_wait_for_each_other(tmp_path: Path) -> None:
    layer = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 40)).add_layer("em", "color", dtype="uint8")
    layer.bounding_box = wk.BoundingBox((0, 0, 0), (64, 64, 64))
    layer.add_mag(1, chunk_shape=32, shard_shape=64)
    script = """
view = wk.Dataset.open(sys.argv[2]).get_layer("em").get_mag(1)
input()
first = int(sys.argv[3])
for z in range(first, 64, 3):
    view.write(np.full((64, 64, 1), z + 1, "uint8"), absolute_offset=(0, 0, z), allow_unaligned=True)
"""
    processes = [start(script, tmp_path / "d", first) for first in range(3)]
    for process in processes:
        try:
            process.stdin.write("\n")
            process.stdin.flush()
        except BrokenPipeError:  # told below
            pass
    for process in processes:
        finished(process)
    read = layer.get_mag(1).read()[0]
    assert (read == np.arange(1, 65, dtype="uint8")).all()
    assert leases(tmp_path) == []


def test_what_a_killed_process_holds_is_taken_over(tmp_path: Path) -> None:
    dataset = wk.Dataset(tmp_path / "d", voxel_size=(4, 4, 40))
    held = """
from wkfast import _core
draft = _core.Draft(sys.argv[2] + "/datasource-properties.json")
print(json.dumps(os.listdir(sys.argv[2])), flush=True)
input()
"""
    holder = start(held, dataset.path)
    line = holder.stdout.readline()
    if line.startswith("no filters"):
        pytest.skip(line)
    assert "datasource-properties.json.wkfast-lock" in json.loads(line)
    waiting = start('wk.Dataset.open(sys.argv[2]).name = "renamed"', dataset.path)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(3)
    os.kill(holder.pid, signal.SIGKILL)
    holder.communicate()
    finished(waiting)
    assert wk.Dataset.open(dataset.path).name == "renamed"
    assert leases(tmp_path) == []
