"""What is left of a writing job when the power goes: the old state, the new one, or less of what is told to be so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.harm.recording import is_possible
from tests.harm.writing_jobs import JOBS

ROOT = Path(__file__).resolve().parents[2]
# States looked at for each job. `make power-loss` looks at all that it can think of.
STATES = os.environ.get("WKFAST_POWER_STATES", "5")
SEED = os.environ.get("WKFAST_HARM_SEED", "1")


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """Lines of what was found, of all jobs: they are recorded together."""
    if not is_possible():
        pytest.skip("what jobs do is recorded by strace, which is not there or may not trace")
    done = subprocess.run(
        [sys.executable, "-m", "tests.harm.power_loss", "check", str(tmp_path_factory.mktemp("power")), SEED, STATES],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("job", JOBS)
def test_a_job_outlives_a_loss_of_power(job, told):
    *findings, last = [line for line in told if line["job"] == job]
    assert not findings, json.dumps(findings[:3], indent=1)
    assert last["states"] > 0
