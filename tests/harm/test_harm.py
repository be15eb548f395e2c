"""Jobs that are killed, and calls that fail: old or new is read, the same call finishes, nothing is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harm import recording
from tests.harm.refusals import reason_against_filters
from tests.harm.shim import compiled, reason_against
from tests.harm.writing_jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]
# For each job: kills, and calls that fail. `make torture` and `make faults` give them more.
KILLS = int(os.environ.get("WKFAST_KILLS", "20"))
FAULTS = int(os.environ.get("WKFAST_FAULTS", "4"))
# For each job: sizes beyond which a file may not grow.
SIZES = int(os.environ.get("WKFAST_SIZES", "2"))
SEED = os.environ.get("WKFAST_HARM_SEED", "1")


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that makes calls of the system fail."""
    reason = reason_against()
    if reason is not None:
        pytest.skip(reason)
    return compiled(tmp_path_factory.mktemp("shim"))


def drive(kind: str, job: str, folder: Path, amount: float, **environment: str) -> dict:
    """Run the driver in a process of its own, and return its last line once it found nothing."""
    path = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "tests.harm.drive", kind, job, str(folder), SEED, str(amount)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path, **environment},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    *findings, last = [json.loads(line) for line in done.stdout.splitlines()]
    assert not findings, json.dumps(findings[:3], indent=1)
    return last


# With the thirty of merges in processes of their own and those at every step of changes, 300 in every run of the tests.
@pytest.mark.parametrize("job", JOBS)
def test_a_job_that_is_killed_loses_nothing(job, tmp_path):
    assert drive("kills", job, tmp_path / "x", KILLS)["done"] > KILLS // 2


@pytest.mark.parametrize("job", JOBS)
def test_a_job_whose_calls_fail_loses_nothing(job, tmp_path, shim):
    assert drive("faults", job, tmp_path / "x", FAULTS, LD_PRELOAD=str(shim))["done"]


# Those that go different roads to their files; of the others, a long run.
ROADS = ("save", "merge", "compress", "write a property")
REFUSED = [pytest.param(job, marks=[] if job in ROADS else [pytest.mark.long]) for job in JOBS]


@pytest.mark.parametrize("job", REFUSED)
def test_a_job_whose_calls_beside_libc_fail_loses_nothing(job, tmp_path):
    """What the core asks the kernel itself: openat2, renameat2, flock, fallocate, copy_file_range, pwrite64."""
    if not recording.is_possible():
        pytest.skip("calls that go past libc are made to fail by strace")
    assert drive("syscalls", job, tmp_path / "x", FAULTS)["done"]


@pytest.mark.parametrize("job", REFUSED)
def test_a_job_whose_files_may_not_be_so_long_loses_nothing(job, tmp_path):
    """EFBIG: the error names the file, what was there stays, and without the limit the same call finishes."""
    assert drive("sizes", job, tmp_path / "x", SIZES)["done"] > 0


@pytest.mark.parametrize("job", REFUSED)
def test_a_job_without_locks_is_done_or_refused_as_a_whole(job, tmp_path):
    """ENOLCK: leases stand for locks, and a merge that cannot take its own says where."""
    reason = reason_against_filters()
    if reason is not None:
        pytest.skip(reason)
    told = drive("locks", job, tmp_path / "x", 1)
    assert told["failed"] == job.startswith("merge")
