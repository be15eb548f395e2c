"""What the docs tell users of Slurm to run, with jobs cancelled, requeued and stopped in the middle."""

import json
import re
import sys

import pytest
from tests.cluster.slurm_jobs import (
    MERGE,
    ROOT,
    arrays,
    assert_merged,
    facts,
    in_the_middle,
    log,
    readme_job,
    run,
    until,
    wait,
)

import wkfast as wk

pytestmark = pytest.mark.long


def test_arrays_and_commit_make_what_one_merge_makes(workplace, prepared):
    first, commit = arrays(workplace, prepared)
    (done,) = wait(commit)
    assert (done["JobState"], done["ExitCode"]) == ("COMPLETED", "0:0"), log(workplace, "*.log")
    assert {found["ExitCode"] for found in facts(first)} == {"0:0"}
    assert_merged(workplace)
    status = json.loads(run(sys.executable, "-m", "wkfast", "merge", "status", "merge.plan", "--json", cwd=workplace))
    assert (status["state"], status["files_done"]) == ("committed", 12)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", log(workplace, "*.log"))


def test_the_batch_script_makes_what_one_merge_makes(workplace, prepared):
    (done,) = wait(readme_job(workplace, prepared))
    assert (done["JobState"], done["ExitCode"], done["Restarts"]) == ("COMPLETED", "0:0", "0")
    assert_merged(workplace)


def test_the_array_by_hand_and_its_commit(workplace, prepared):
    wkfast = f"{sys.executable} -m wkfast"
    run(*wkfast.split(), *MERGE.replace("merge-fallback", "merge plan merge.plan").split(), cwd=workplace)
    script = (ROOT / "docs" / "merge-array.sbatch").read_text()
    small = script.replace("cpus-per-task=8", "cpus-per-task=1").replace("mem=4G", "mem=200M")
    (workplace / "merge-array.sbatch").write_text(small.replace("srun wkfast", f"srun {wkfast}"))
    hand_in = ("sbatch", "--parsable", "--job-name=wkfast-test")
    array = run(*hand_in, "--export=ALL,PLAN=merge.plan", "merge-array.sbatch", cwd=workplace).strip()
    commit = ("--wrap", f"{wkfast} merge commit merge.plan --finish")
    job = run(*hand_in, f"--dependency=afterany:{array}", *commit, cwd=workplace).strip()
    (done,) = wait(job)
    assert done["JobState"] == "COMPLETED", log(workplace, "*")
    assert [found["ExitCode"] for found in facts(array)] == ["0:0"] * 4
    assert_merged(workplace)


@pytest.mark.parametrize("disturb", ["scancel", "requeue", "kill"])
def test_an_array_is_disturbed_and_the_commit_ends_the_merge(workplace, prepared, disturb):
    first, commit = arrays(workplace, prepared)
    in_the_middle(workplace, first)
    if disturb == "requeue":
        for found in facts(first):
            if found["JobState"] == "RUNNING":
                run("scontrol", "requeue", f"{first}_{found['ArrayTaskId']}")
    else:
        run("scancel", *(["--signal=KILL"] if disturb == "kill" else []), first)
    (done,) = wait(commit)
    assert (done["JobState"], done["ExitCode"]) == ("COMPLETED", "0:0"), log(workplace, "*.log")
    assert_merged(workplace)


def test_an_announced_end_puts_the_job_back_into_the_queue(workplace, prepared):
    job = readme_job(workplace, prepared)
    in_the_middle(workplace, job)
    run("scancel", "--signal=USR1", job)
    (done,) = wait(job)
    assert (done["JobState"], done["Restarts"]) == ("COMPLETED", "1")
    assert "stopped by SIGUSR1: what is done stays done, the same command goes on" in log(workplace, "*.log")
    assert_merged(workplace)


def test_a_limit_of_time_is_announced_by_slurm(workplace, prepared):
    # Slurm looks at limits twice a minute.
    slower = ("srun env ", "srun env WKFAST_SLOW=4000 ")
    job = readme_job(workplace, prepared, changes=[("time=01:00:00", "time=00:01:00"), ("USR1@60", "USR1@56"), slower])
    (done,) = wait(job)
    assert done["JobState"] == "COMPLETED"
    assert int(done["Restarts"]) >= 1
    assert "stopped by SIGUSR1" in log(workplace, "*.log")
    assert_merged(workplace)


def test_a_job_that_slurm_requeues_goes_on(workplace, prepared):
    job = readme_job(workplace, prepared)
    in_the_middle(workplace, job)
    run("scontrol", "requeue", job)
    (done,) = wait(job)
    assert (done["JobState"], done["Restarts"]) == ("COMPLETED", "1")
    assert_merged(workplace)


def test_two_nodes_at_one_target_wait_for_each_other(workplace, prepared, nodes):
    if len(nodes) < 2:
        pytest.skip("this Slurm has one node")
    first = readme_job(workplace, prepared, f"--nodelist={nodes[0]}")
    in_the_middle(workplace, first)
    second = readme_job(workplace, prepared, f"--nodelist={nodes[1]}")
    until(lambda: "waiting up to 600 s" in log(workplace, f"{second}.log"), second)
    assert "is being written by another process (process " in log(workplace, f"{second}.log")
    assert f" on {nodes[0]})" in log(workplace, f"{second}.log")
    run("scancel", first)
    (done,) = wait(second)
    assert done["JobState"] == "COMPLETED"
    assert_merged(workplace)


@pytest.mark.filterwarnings("ignore")
def test_the_strategy_slurm_of_the_command_line(workplace, prepared):
    pytest.importorskip("cluster_tools", reason="cluster-tools is not installed")
    resources = ("--job-resources", '{"mem": "500M"}')
    run(sys.executable, "-m", "wkfast", *MERGE.split(), "--distribution-strategy", "slurm", *resources, cwd=workplace)
    assert_merged(workplace)


@pytest.mark.filterwarnings("ignore")
def test_jobs_of_submitit(workplace, prepared, monkeypatch):
    submitit = pytest.importorskip("submitit", reason="submitit is not installed")
    monkeypatch.chdir(workplace)
    executor = submitit.AutoExecutor(folder=workplace / "jobs", cluster="slurm")
    executor.update_parameters(timeout_min=5, slurm_mem="500M")
    wk.Annotation.load("annotation.zip").merge_fallback_layer("merged", "datasets", executor=executor)
    assert_merged(workplace)
