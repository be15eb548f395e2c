"""What mounts do differently from disks, in the gate; `make test-fuse` runs the suite on one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuse.mount import mounted, reason_against

ROOT = Path(__file__).resolve().parents[2]
# Files that are removed and replaced while they are open, locks, merges and their notes, edits and saves.
PART = (
    "tests/dataset/test_removing.py",
    "tests/dataset/test_rechunking.py",
    "tests/dataset/test_shared_folders.py",
)


@pytest.fixture
def mount(tmp_path):
    reason = reason_against()
    if reason is not None:
        pytest.skip(reason)
    with mounted(tmp_path) as seen:
        yield seen


@pytest.mark.parametrize("part", PART)
def test_what_holds_on_a_disk_holds_on_a_mount(mount, part):
    (mount / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--basetemp={mount / 'pytest'}", part],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "TMPDIR": str(mount / "tmp"), "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
