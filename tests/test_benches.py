"""Benches are run by hand, so this makes sure that they still run and that their checks hold, on small inputs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from benches.python import inputs, loop_growth_jobs, plan_growth
from benches.python.loop_growth_jobs import OF_NODES, OF_TREES
from benches.python.measure import run_job
from benches.simulate import Cluster, Constants, forecast
from benches.simulate_runs import Load

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


def test_the_model_of_a_merge_adds_up_and_killed_tasks_only_cost_time():
    load = Load(1000, 1 << 20)
    constants = Constants(1, 0, 0.01, 0, 1e-8, 0, commit_file=1e-3, plan_file=2e-3)
    alone = forecast(load, Cluster(workers=1, queue_wait=0, dispatch=0), constants, tasks=1)
    assert (alone.plan, alone.commit) == pytest.approx((2, 2))
    assert alone.run == pytest.approx(1 + 1000 * (0.01 + 2**20 * 1e-8))
    many = forecast(load, Cluster(workers=10, queue_wait=0, dispatch=0), constants, tasks=10)
    assert many.run == pytest.approx(1 + 100 * (0.01 + 2**20 * 1e-8))
    assert many.efficiency < alone.efficiency < 1
    killed = forecast(load, Cluster(workers=10, queue_wait=0, dispatch=0, hours_to_failure=2e-3), constants, tasks=10)
    assert killed.killed > 0
    assert killed.run > many.run
    bound = forecast(load, Cluster(workers=10, queue_wait=0, dispatch=0, bandwidth=1e7), constants, tasks=10)
    assert bound.bound == "the store's bandwidth"
    assert bound.run == pytest.approx(1 + 2 * load.bytes / 1e7)


def test_steps_of_a_merge_of_many_files_are_measured(tmp_path):
    found = plan_growth.measure(tmp_path, 500)
    assert found["status"].result == str(int(found["run"].result) + int(found["finish"].result)) == "500"
    assert int(found["plan"].result) < 500 * 16 + 5000 * 8


@pytest.mark.parametrize("loop", [*OF_NODES, *OF_TREES])
def test_loops_whose_growth_is_measured_touch_every_element(loop):
    results = {size: getattr(loop_growth_jobs, loop)(str(size))() for size in (20, 50)}
    # sums of ids, of which the tree has the first, and of places along an axis
    of_values = {"ids": sum(range(2, 52)), "positions": sum(range(50))}
    assert results[50] == of_values.get(loop, 98 if loop == "neighbours" else 50)
    assert results[20] < results[50]
