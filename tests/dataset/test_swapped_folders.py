"""Another process puts a link in the place of a layer's folder, and takes it back, all the time a layer is changed.

What the link leads to is another dataset, with files of the same names. Whatever a call sees at whatever moment, it
makes, changes and removes nothing there.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest

import wkfast as wk
from wkfast.errors import WkfastError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ROUNDS = 40
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="folders and links change places by a call of Linux")

# Exchanges two names until its input ends; prints how often it could.
SWAPPER = """
import ctypes, os, sys, threading
libc, (one, other) = ctypes.CDLL(None), [name.encode() for name in sys.argv[1:]]
done, count = threading.Event(), 0
threading.Thread(target=lambda: (sys.stdin.read(), done.set()), daemon=True).start()
while not done.is_set():
    count += libc.renameat2(-100, one, -100, other, 2) == 0
print(count)
"""


def voxels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 100, (32, 32, 32), dtype="uint32")


def made(folder: Path, seed: int) -> None:
    """Make a dataset of one layer whose mags 1 and 2 have files of the same names in all of them."""
    layer = wk.Dataset(folder, voxel_size=(1, 1, 1)).add_layer(
        "one", "segmentation", dtype="uint32", bounding_box=wk.BoundingBox((0, 0, 0), (32, 32, 32))
    )
    for mag, end in ((1, 32), (2, 16)):
        layer.add_mag(mag, chunk_shape=16, shard_shape=32, compress=False).write(voxels(seed)[:end, :end, :end])


def contents(folder: Path) -> dict[str, bytes | None]:
    found = {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}
    return {str(path.relative_to(folder)): content for path, content in found.items()}


def write(layer: wk.Layer) -> None:
    layer.get_mag(1).write(voxels(7), absolute_offset=(0, 0, 0))


def write_in_part(layer: wk.Layer) -> None:
    layer.get_mag(1).write(voxels(7)[:8, :8, :8], absolute_offset=(3, 3, 3), allow_unaligned=True)


def add_a_mag(layer: wk.Layer) -> None:
    layer.add_mag(4, chunk_shape=16, shard_shape=32)


def make_a_mag(layer: wk.Layer) -> None:
    layer.downsample_mag(2, target_mag=4)


def delete_a_mag(layer: wk.Layer) -> None:
    layer.delete_mag(2)


def compress(layer: wk.Layer) -> None:
    layer.get_mag(1).compress()


def delete(layer: wk.Layer) -> None:
    layer.dataset.delete_layer("one")


def copy_into(layer: wk.Layer) -> None:
    layer.add_mag_as_copy(layer.get_mag(1), mag=1, exists_ok=True)


CALLS: list[Callable[[wk.Layer], None]] = [
    write, write_in_part, add_a_mag, make_a_mag, delete_a_mag, compress, delete, copy_into
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_nothing_is_touched_behind_a_link_that_comes_and_goes(call, tmp_path):
    template, victim, work = tmp_path / "template", tmp_path / "victim", tmp_path / "work"
    made(template, 1)
    made(victim, 2)
    (template / ".spare").symlink_to(victim / "one")
    before = contents(victim)
    command = [sys.executable, "-c", SWAPPER, str(work / "one"), str(work / ".spare")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as swapper:
        for number in range(ROUNDS):
            # As a whole in one step: what is copied file by file would be copied through the link.
            shutil.copytree(template, tmp_path / f"new{number}", symlinks=True)
            (tmp_path / f"new{number}").rename(work)
            with suppress(WkfastError, OSError):
                call(wk.Dataset.open(work).get_layer("one"))
            assert contents(victim) == before, f"round {number}"
            work.rename(tmp_path / f"old{number}")
        swaps = int(swapper.communicate()[0])
    assert swaps > 2 * ROUNDS, "nothing was swapped"
