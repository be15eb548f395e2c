"""Benches are run by hand, so this makes sure that they still run and that their checks hold, on small inputs."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_single_calls_run_and_check_their_results(tmp_path):
    environment = {**os.environ, "WKFAST_BENCH_NODES": "2000", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-disable"]
    done = subprocess.run(
        [*command, "benches/python/test_calls.py"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
