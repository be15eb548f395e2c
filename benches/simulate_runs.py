"""Merges that are run for `benches.simulate`: files of one size on the local disk, shared among worker processes."""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benches.python import plan_inputs
from wkfast import _core

# Voxels along an edge of a chunk of uint32 that is large enough for a file of a megabyte.
_EDGE = 16
_CHUNK_BYTES = 4 * _EDGE**3
# Voxels beside each other that have one label.
_RUN = 64
_SPARE_MEMORY = 1 << 29
_PLAN = "merge.plan"
_TARGET = "target-"


@dataclass(frozen=True)
class Load:
    """Files of the result, bytes of each, and which of them an annotation lies over: none, or one in so many."""

    files: int
    file_bytes: int
    touched_one_in: int = 0

    @property
    def chunks_along_edge(self) -> int:
        """Of a file, which is a cube of them."""
        chunks = max(1, round((self.file_bytes / _CHUNK_BYTES) ** (1 / 3)))
        if self.touched and chunks**3 * _CHUNK_BYTES != self.file_bytes:
            raise ValueError(f"files of {self.file_bytes} bytes are no cube of chunks of {_CHUNK_BYTES}")
        return chunks

    @property
    def bytes(self) -> int:
        """Of all files."""
        return self.files * self.file_bytes

    @property
    def touched(self) -> int:
        """Files that are computed anew."""
        return -(-self.files // self.touched_one_in) if self.touched_one_in else 0

    @property
    def copied(self) -> int:
        """Bytes of files that nothing lies over."""
        return (self.files - self.touched) * self.file_bytes

    @property
    def computed(self) -> int:
        """Bytes of the others."""
        return self.touched * self.file_bytes


@dataclass(frozen=True)
class Run:
    """Seconds by phase; `start` is what a task needs until it begins with its files, `commit` has a start as well."""

    plan: float
    start: float
    run: float
    commit: float
    commit_alone: float


def real_run(folder: Path, load: Load, workers: int, tasks: int) -> Run:
    """Merge files of `load` by so many processes at a time, and return how long each phase took.

    The target stays: ext4 passes over inodes that were freed in the last minute one by one, so whoever makes files
    beside many that were just removed is measured at that, half a millisecond a file.
    """
    told = _make(folder / f"{load.files}-{load.file_bytes}-{load.touched_one_in}", load)
    _settle(load)
    began = time.monotonic()
    plan = _core.MergePlan(told)
    (folder / _PLAN).write_bytes(plan.to_bytes("{}"))
    planned = time.monotonic()
    starts, left = [], list(range(tasks))
    running: list[tuple[float, subprocess.Popen[bytes]]] = []
    while left or running:
        while left and len(running) < workers:
            running.append((time.monotonic(), _process(folder, "share", left.pop(0), tasks)))
        begun, process = running.pop(0)
        starts.append(float(process.communicate()[0]) - begun)
    ended = time.monotonic()
    commit_alone = float(_process(folder, "commit", 0, 0).communicate()[0])
    done = time.monotonic()
    return Run(planned - began, statistics.median(starts), ended - planned, done - ended, commit_alone)


def _settle(load: Load) -> None:
    """Wait for what others have written, and touch the memory that the result will take.

    A virtual machine gets memory of its host page by page, at a gigabyte a second where it was not touched lately:
    slower than files are copied.
    """
    os.sync()
    touched = b"\x01" * (2 * load.bytes + _SPARE_MEMORY)
    del touched


def _process(folder: Path, *words: object) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "benches.simulate_runs", str(folder), *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).resolve().parents[1])


def _make(folder: Path, load: Load) -> dict[str, Any]:
    """Return what the merge is told; its layers are made unless they are there."""
    chunks = load.chunks_along_edge
    if not (folder / "done").exists():
        shutil.rmtree(folder, ignore_errors=True)
        draw = random.Random(0)
        # Of a file that is only copied nobody looks at what it holds.
        bodies = [_shard(chunks, draw) if load.touched else draw.randbytes(load.file_bytes) for _ in range(2)]
        _mag(folder / "fallback", range(load.files), chunks, load.files, bodies)
        touched = range(0, load.files, load.touched_one_in) if load.touched else range(0)
        _mag(folder / "annotation", touched, chunks, load.files, bodies[::-1])
        (folder / "done").touch()
    edge = chunks * _EDGE
    target = f"{_TARGET}{len(list(folder.glob(_TARGET + '*')))}"
    return plan_inputs.told(folder, [edge * load.files, edge, edge], {"policy": "nonzero"}, target)


def remove_targets(folder: Path) -> None:
    """Remove what all runs wrote."""
    for target in folder.glob(f"*/{_TARGET}*"):
        shutil.rmtree(target)


def _mag(folder: Path, numbers: range, chunks: int, files: int, bodies: list[bytes]) -> None:
    folder.mkdir(parents=True)
    edge = chunks * _EDGE
    metadata = plan_inputs.metadata([edge * files, edge, edge], edge, _EDGE, checksum=False)
    (folder / "zarr.json").write_text(json.dumps(metadata))
    for number in numbers:
        parent = folder / f"c/0/{number}/0"
        parent.mkdir(parents=True)
        (parent / "0").write_bytes(bodies[number % len(bodies)])


def _shard(chunks: int, draw: random.Random) -> bytes:
    """Return a shard that has all its chunks, of runs of labels; the index, without a checksum, lies behind them."""
    labels = [draw.randrange(1, 1000) for _ in range(chunks**3 * _CHUNK_BYTES // (4 * _RUN))]
    body = b"".join(struct.pack("<I", label) * _RUN for label in labels)
    spans = [struct.pack("<QQ", place * _CHUNK_BYTES, _CHUNK_BYTES) for place in range(chunks**3)]
    return body + b"".join(spans)


def main() -> None:
    """Be a worker: do a share of the plan on one thread and say when that began, or commit."""
    folder, what, task, tasks = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    found = _core.MergePlan.open(folder, _PLAN)
    if found is None:
        raise SystemExit(f"there is no plan in {folder}")
    plan = found[0]
    if what == "commit":
        began = time.monotonic()
        plan.commit()
        sys.stdout.write(str(time.monotonic() - began))
        return
    share = plan.share(0, task, tasks)
    began = time.monotonic()
    plan.run(share, threads=1, access="shared")
    sys.stdout.write(str(began))


if __name__ == "__main__":
    main()
