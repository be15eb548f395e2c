"""Benches are run by hand, so this makes sure that they still run and that their checks hold, on small inputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benches.python import inputs
from benches.python.measure import run_job

ROOT = Path(__file__).resolve().parents[1]


def test_single_calls_run_and_check_their_results(tmp_path):
    environment = {**os.environ, "WKFAST_BENCH_NODES": "2000", "TMPDIR": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--benchmark-disable"]
    done = subprocess.run(
        [*command, "benches/python/test_calls.py"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_loops_run_and_give_a_result_each(tmp_path):
    command = [sys.executable, "-m", "benches.python.loops", "wkfast", str(tmp_path), "node", "group", "nx."]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert {"node.id", "tree.add_node", "nx.is_tree"} < set(results)
    assert results["node.position"][1] == "[1000, 2000, 0]"


def test_jobs_on_many_files_run_and_agree(tmp_path):
    pytest.importorskip("pyarrow")
    many, one = inputs.many(tmp_path, 3, 5), inputs.nml(tmp_path, 15, trees=3)
    out = str(tmp_path / "out.parquet")
    module = "benches.python.table_jobs"
    results = {run_job(module, "wkfast_read", str(source)).result for source in (many, one)}
    assert results == {"3 trees, 15 nodes, 12 edges"}
    assert run_job(module, "wkfast_parquet", str(many), out).result == "15 nodes"
