"""Who works, what is told meanwhile, and what Ctrl-C does: options of the commands that merge."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.inputs import demo_input, tree_state

from wkfast.progress import LogLines, observed


def wkfast(*arguments, cwd, **options):
    command = [sys.executable, "-m", "wkfast", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("options")
    demo_input(folder)
    return folder


@pytest.fixture(scope="module")
def expected(folder):
    assert wkfast("merge-fallback", "expected", "annotation.zip", "datasets", cwd=folder).returncode == 0
    return layer(folder / "expected")


def layer(target):
    return tree_state(target / "segmentation")


@pytest.mark.parametrize("strategy", ["threads", "multiprocessing", "sequential", "dask"])
def test_every_strategy_writes_the_same(strategy, folder, expected, tmp_path):
    options = ("--distribution-strategy", strategy, "--jobs", 1)
    done = wkfast("merge-fallback", tmp_path / "target", "annotation.zip", "datasets", *options, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert layer(tmp_path / "target") == expected


def test_job_resources_that_are_no_json_object_are_refused(folder, tmp_path):
    for text in ("[1]", "{mem: 4G}"):
        options = ("--distribution-strategy", "slurm", "--job-resources", text)
        done = wkfast("merge-fallback", tmp_path / "target", "annotation.zip", "datasets", *options, cwd=folder)
        assert done.returncode == 2
        assert "no JSON object" in done.stderr
    assert not (tmp_path / "target").exists()


def test_a_dry_run_writes_nothing(folder, tmp_path):
    done = wkfast("merge-fallback", tmp_path / "t", "annotation.zip", "datasets", "--dry-run", "--json", cwd=folder)
    assert json.loads(done.stdout)["tasks"] == 12
    assert not (tmp_path / "t").exists()


SLOW = """
import sys, time
from wkfast.merge import job
from wkfast.cli import main

def merge(self, options):
    print("running", flush=True)
    return self.plan.complete(progress=lambda *now: time.sleep(0.2))

job.MergeJob.merge = merge
main(sys.argv[1:])
"""


def test_ctrl_c_ends_at_once_with_exit_code_130_and_the_same_command_goes_on(folder, expected, tmp_path):
    arguments = ("merge-fallback", str(tmp_path / "target"), "annotation.zip", "datasets")
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "running\n"
    time.sleep(0.3)
    os.kill(child.pid, signal.SIGINT)
    _, said = child.communicate()
    assert child.returncode == 130
    assert said.strip() == "interrupted"
    assert not (tmp_path / "target/datasource-properties.json").exists()
    assert wkfast(*arguments, cwd=folder).returncode == 0
    assert layer(tmp_path / "target") == expected


def test_a_log_gets_a_line_a_minute(capsys):
    now = [0.0]
    lines = LogLines("merging", clock=lambda: now[0])
    for second in range(0, 241, 20):
        now[0] = second
        lines.observe(second, 480, second * 10**9, 480 * 10**9)
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 4
    assert told[0] == "merging: 60 of 480 shards, 60.0 of 480.0 GB, about 7 min left"


def test_short_work_leaves_no_line_in_a_log(folder, tmp_path):
    done = wkfast("merge-fallback", tmp_path / "t", "annotation.zip", "datasets", "--progress", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("nothing", [None, False])
def test_nobody_is_told_who_does_not_ask(nothing):
    with observed(nothing, "merging") as observer:
        assert observer is None
