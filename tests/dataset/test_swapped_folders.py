"""Another process puts a link in the place of a layer's folder, and takes it back, all the time a layer is changed.

What the link leads to is another dataset, with files of the same names. Whatever a call sees at whatever moment, it
makes, changes and removes nothing there.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import numpy as np
import pytest
from examples.demo.generate import DATASET_NAME, labels, write_annotation, write_dataset

import wkfast as wk
from wkfast.dataset.attachments import Attachment, AttachmentDataFormat
from wkfast.errors import MergeError, WkfastError
from wkfast.merge import description, job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ROUNDS = 40
NOTES = ".wkfast-merge"
# As Linux has them.
AT_FDCWD, EXCHANGE = -100, 2
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


@pytest.fixture(autouse=True)
def names_change_places(tmp_path: Path) -> None:
    """Some mounts do not exchange names, and nothing can be swapped there."""
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
    exchange = ctypes.CDLL(None).renameat2
    done = exchange(AT_FDCWD, os.fsencode(tmp_path / "one"), AT_FDCWD, os.fsencode(tmp_path / "other"), EXCHANGE)
    for name in ("one", "other"):
        (tmp_path / name).rmdir()
    if done != 0:
        pytest.skip("names do not change places on the file system of the temporary folder")


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


def attach_a_file(layer: wk.Layer) -> None:
    attach(layer, "m.json", AttachmentDataFormat.JSON, "meshes")


def attach_a_folder(layer: wk.Layer) -> None:
    attach(layer, "v1", AttachmentDataFormat.Zarr3, "agglomerates")


def attach(layer: wk.Layer, name: str, form: AttachmentDataFormat, kind: str) -> None:
    source = layer.dataset.path.parent / "beside" / name
    layer.dataset.get_segmentation_layer("one").attachments.add_attachment_as_copy(Attachment(name, source, form, kind))


def take_an_array(layer: wk.Layer) -> None:
    layer.add_mag_from_zarrarray(8, layer.dataset.path.parent / "beside/v1")


CALLS: list[Callable[[wk.Layer], None]] = [
    write, write_in_part, add_a_mag, make_a_mag, delete_a_mag, compress, delete, copy_into,
    attach_a_file, attach_a_folder, take_an_array,
]  # fmt: skip


@contextmanager
def swapping(one: Path, other: Path) -> Iterator[None]:
    """Let another process exchange two names all the time; it could more often than there are rounds."""
    command = [sys.executable, "-c", SWAPPER, str(one), str(other)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as swapper:
        yield
        swaps = int(swapper.communicate()[0])
    assert swaps > 2 * ROUNDS, "nothing was swapped"


def made_beside(folder: Path) -> None:
    """Make what becomes attachments, one file and one folder, which is an array as well."""
    (folder / "beside").mkdir()
    (folder / "beside/m.json").write_text("{}")
    array = folder / "array"
    layer = wk.Dataset(array, voxel_size=(1, 1, 1)).add_layer("one", "segmentation", dtype="uint32")
    layer.add_mag(8, chunk_shape=16, shard_shape=32).write(voxels(3), allow_resize=True)
    layer.get_mag(8).path.rename(folder / "beside/v1")


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_nothing_is_touched_behind_a_link_that_comes_and_goes(call, tmp_path):
    template, victim, work = tmp_path / "template", tmp_path / "victim", tmp_path / "work"
    made(template, 1)
    made(victim, 2)
    for kind in ("meshes", "agglomerates"):
        (victim / "one" / kind).mkdir()
    made_beside(tmp_path)
    (template / ".spare").symlink_to(victim / "one")
    before = contents(victim)
    with swapping(work / "one", work / ".spare"):
        for number in range(ROUNDS):
            # As a whole in one step: what is copied file by file would be copied through the link.
            shutil.copytree(template, tmp_path / f"new{number}", symlinks=True)
            (tmp_path / f"new{number}").rename(work)
            with suppress(WkfastError, OSError):
                call(wk.Dataset.open(work).get_layer("one"))
            assert contents(victim) == before, f"round {number}"
            work.rename(tmp_path / f"old{number}")


# -- targets of merges -----------------------------------------------------------------------------------------------


def inputs(folder: Path) -> None:
    """Make an annotation over a layer of several files, of which some are copied and some are written."""
    fallback = labels((256, 128, 128), cells=20)
    painted = fallback.copy()
    painted[20:150, 40:90, 40:90] = 900
    write_dataset(folder / "datasets" / DATASET_NAME, fallback)
    write_annotation(folder / "annotation.zip", fallback, painted)


def merge(folder: Path, target: Path) -> None:
    loaded = wk.Annotation.load(folder / "annotation.zip")
    loaded.merge_fallback_layer(target, dataset_directory=folder / "datasets")


def merge_in_jobs(folder: Path, target: Path) -> None:
    """Each of a merge's tasks opens the target anew."""
    job = wk.Annotation.load(folder / "annotation.zip").plan_merge(target, dataset_directory=folder / "datasets")
    for task in range(job.plan.task_count):
        job.plan.run((task, task + 1), access="shared")
    job.commit()


@pytest.mark.parametrize("swapped", ["the layer", "the notes"])
@pytest.mark.parametrize("call", [merge, merge_in_jobs], ids=lambda call: call.__name__)
def test_a_merge_writes_nothing_behind_a_link_that_comes_and_goes(call, swapped, tmp_path):
    inputs(tmp_path)
    victim, work = tmp_path / "victim", tmp_path / "work"
    merge(tmp_path, victim)
    layer = wk.Dataset.open(victim).get_segmentation_layers()[0].name
    for file in (path for path in (victim / layer).rglob("*") if path.is_file()):
        file.write_text("another's")
    (victim / NOTES / "tmp").mkdir(parents=True)
    for name in ("lock", "plan.json", "tmp/whole-1.tmp", "notes-1.jsonl"):
        (victim / NOTES / name).write_text("another's")
    name = layer if swapped == "the layer" else NOTES
    before = contents(victim)
    with swapping(work / "merged" / name, work / ".spare"):
        for number in range(ROUNDS):
            new = tmp_path / f"new{number}"
            new.mkdir()
            (new / ".spare").symlink_to(victim / name)
            new.rename(work)
            with suppress(WkfastError, OSError):
                call(tmp_path, work / "merged")
            assert contents(victim) == before, f"round {number}"
            work.rename(tmp_path / f"old{number}")


@pytest.mark.parametrize("moment", ["before it is described", "while it is described"])
def test_a_target_that_has_become_another_folder_after_the_commit_is_not_described_there(moment, tmp_path, monkeypatch):
    inputs(tmp_path)
    victim, target, moved = tmp_path / "victim", tmp_path / "merged", tmp_path / "moved"
    merge(tmp_path, victim)
    (victim / "datasource-properties.json").write_text("another's")
    before = contents(victim)
    owner, name = {
        "before it is described": (job.MergeJob, "_report"),
        "while it is described": (description, "_write_group_metadata"),
    }[moment]
    real = getattr(owner, name)

    def swap_and_go_on(*arguments):
        if not moved.exists():
            target.rename(moved)
            target.symlink_to(victim)
        return real(*arguments)

    monkeypatch.setattr(owner, name, swap_and_go_on)
    if moment == "before it is described":
        (victim / "wkfast-merge.json").unlink()
        before = contents(victim)
        with pytest.raises(MergeError, match="merged is not the folder"):
            merge(tmp_path, target)
    else:
        merge(tmp_path, target)
        assert wk.Dataset.open(moved).get_segmentation_layers()
    assert contents(victim) == before
