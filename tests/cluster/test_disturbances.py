"""Nodes die, are taken away, run into limits, are full: the result is that of an undisturbed merge."""

import subprocess

import pytest
from tests.cluster.slurm_jobs import (
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

pytestmark = pytest.mark.long

STOPPED = "what is done stays done, the same command goes on"


def hand_in_either(way, folder, prepared):
    """Hand in a merge and return its first and last job: arrays of tasks with a node each, or the README's one job."""
    if way == "arrays":
        return arrays(folder, prepared, "--exclusive")
    job = readme_job(folder, prepared)
    return job, job


def node_at_work(job):
    """A node that runs the job, or a task of the array."""
    return next(found["NodeList"] for found in facts(job) if found["JobState"] == "RUNNING")


def give_back(node):
    # It may be back by itself, which makes this an error.
    subprocess.run(["scontrol", "update", f"NodeName={node}", "State=RESUME"], capture_output=True)


def restarts(job):
    return sum(int(found["Restarts"]) for found in facts(job))


def assert_completed(folder, job):
    (done,) = wait(job)
    assert (done["JobState"], done["ExitCode"]) == ("COMPLETED", "0:0"), log(folder, "*.log")
    assert_merged(folder)


@pytest.mark.parametrize("way", ["arrays", "script"])
def test_a_node_dies_with_its_steps(own_cluster, workplace, prepared, way):
    first, last = hand_in_either(way, workplace, prepared)
    in_the_middle(workplace, first)
    own_cluster.fail(node_at_work(first))
    assert_completed(workplace, last)
    assert restarts(first) == 1


@pytest.mark.parametrize("way", ["arrays", "script"])
def test_a_node_is_taken_down(cluster, workplace, prepared, way):
    first, last = hand_in_either(way, workplace, prepared)
    in_the_middle(workplace, first)
    node = node_at_work(first)
    run("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")
    try:
        assert_completed(workplace, last)
        assert restarts(first) == 1
    finally:
        give_back(node)


@pytest.mark.parametrize("way", ["arrays", "script"])
def test_more_urgent_jobs_take_the_nodes(cluster, workplace, prepared, nodes, way):
    if "urgent" not in run("sinfo", "-h", "-o", "%R").split():
        pytest.skip("this Slurm has no partition `urgent` that preempts others")
    first, last = hand_in_either(way, workplace, prepared)
    in_the_middle(workplace, first)
    everything = ("--partition=urgent", f"--nodes={len(nodes)}", "--exclusive")
    run("sbatch", *everything, "--job-name=wkfast-test", "--output=urgent.log", "--wrap", "sleep 2", cwd=workplace)
    assert_completed(workplace, last)
    assert restarts(first) >= 1
    assert f"stopped by SIGTERM: {STOPPED}" in log(workplace, "*.log")


def test_a_limit_of_time_is_announced_to_tasks_of_an_array(workplace, prepared):
    # Slurm looks at limits twice a minute.
    limits = ("--time=00:01:00", "--signal=USR1@56")
    first, commit = arrays(workplace, prepared, *limits, WKFAST_SLOW=6000)
    assert_completed(workplace, commit)
    assert restarts(first) + restarts(commit) >= 1
    assert f"stopped by SIGUSR1: {STOPPED}" in log(workplace, "*.log")


def test_the_target_is_full_on_one_node(own_cluster, workplace, prepared, nodes):
    target = workplace / "merged"
    target.mkdir()
    # Room for notes and for no file of the finest mag.
    own_cluster.in_node(nodes[0], "mount", "-t", "tmpfs", "-o", "size=32k", "tmpfs", target)
    try:
        first, commit = arrays(workplace, prepared, "--exclusive")
        until(lambda: "No space left on device" in log(workplace, "wkfast-stage0*.log"), first)
        # What a check of the node's health does.
        run("scontrol", "update", f"NodeName={nodes[0]}", "State=DRAIN", "Reason=full")
        assert_completed(workplace, commit)
        assert "2:0" in {found["ExitCode"] for found in facts(first)}
    finally:
        own_cluster.in_node(nodes[0], "umount", target)
        give_back(nodes[0])


def test_temporary_files_are_full_on_every_node(own_cluster, workplace, prepared, nodes):
    for node in nodes:
        own_cluster.in_node(node, "mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", "/tmp")
    try:
        first, commit = arrays(workplace, prepared)
        assert_completed(workplace, commit)
        assert {found["ExitCode"] for found in facts(first)} == {"0:0"}
    finally:
        for node in nodes:
            own_cluster.in_node(node, "umount", "/tmp")


def test_a_task_takes_more_memory_than_it_may(cluster, workplace, prepared):
    first, commit = arrays(workplace, prepared, WKFAST_GREEDY=0)
    assert_completed(workplace, commit)
    killed = next(found for found in facts(first) if found["ArrayTaskId"] == "0")
    assert killed["JobState"] in {"OUT_OF_MEMORY", "FAILED", "CANCELLED"}, killed


def test_a_job_that_took_more_memory_than_it_may_goes_on_with_more(cluster, workplace, prepared):
    job = readme_job(workplace, prepared, WKFAST_GREEDY="all")
    (done,) = wait(job)
    assert done["JobState"] in {"OUT_OF_MEMORY", "FAILED", "CANCELLED"}, done
    assert done["Restarts"] == "0"
    assert_completed(workplace, readme_job(workplace, prepared, "--mem=2G"))
