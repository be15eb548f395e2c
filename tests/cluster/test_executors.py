"""Merges by executors whose workers are jobs of Slurm, MPI ranks or processes of dask, some of which are killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.cluster.docs_pages import blocks, with_wkfast
from tests.cluster.processes import ended, look_for, running_jobs, started
from tests.cluster.slurm_jobs import (
    MERGE,
    assert_merged,
    files_of,
    in_the_middle,
    log,
    run,
    wait,
)

pytestmark = pytest.mark.long

# What each strategy adds to a program; the demo's files are small, so jobs are made as small.
WKFAST = (sys.executable, "-m", "wkfast")
PROGRAM = """\
import sys
import wkfast as wk
from wkfast.jobs import batches
{imports}

if __name__ == "__main__":
    batches.LEAST_BYTES_PER_JOB = 1
    with {executor} as executor:
        wk.Annotation.load("annotation.zip").merge_fallback_layer("merged", "datasets", executor=executor)
"""
DASK_JOBS = """\
from contextlib import contextmanager
from dask_jobqueue import SLURMCluster
from distributed import Client

@contextmanager
def dask_jobs():
    size = dict(cores=1, processes=1, memory="500MB", walltime="00:10:00", interface={interface!r})
    with SLURMCluster(**size, scheduler_options=dict(dashboard_address=None)) as cluster, Client(cluster) as client:
        cluster.{scale}
        yield client.get_executor()
"""
SUBMITIT = """\
from contextlib import nullcontext
import submitit

def jobs():
    executor = submitit.AutoExecutor(folder="jobs", cluster="slurm")
    executor.update_parameters(timeout_min=5, slurm_mem="500M")
    return nullcontext(executor)
"""
CLUSTER_TOOLS = """\
import cluster_tools

def jobs():
    return cluster_tools.get_executor("slurm", job_resources={"mem": "500M"})
"""
STRATEGIES = {
    "dask-jobqueue fixed": ("dask_jobqueue", DASK_JOBS, "scale(jobs=2)", "dask_jobs()"),
    "dask-jobqueue adaptive": ("dask_jobqueue", DASK_JOBS, "adapt(minimum_jobs=0, maximum_jobs=3)", "dask_jobs()"),
    "submitit": ("submitit", SUBMITIT, None, "jobs()"),
    "cluster_tools": ("cluster_tools", CLUSTER_TOOLS, None, "jobs()"),
}


def need(*modules):
    for module in modules:
        if importlib.util.find_spec(module) is None:
            pytest.skip(f"{module} is not installed")


def program(folder, cluster, strategy):
    module, imports, scale, executor = STRATEGIES[strategy]
    need(module)
    if scale is not None:
        imports = imports.format(scale=scale, interface="lo" if cluster is not None else None)
    (folder / "program.py").write_text(PROGRAM.format(imports=imports, executor=executor))
    return [sys.executable, "program.py"]


def whole(folder):
    """The merge made again, without anything in its way."""
    return run(*WKFAST, *MERGE.split(), cwd=folder)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_an_executor_of_slurm_jobs(cluster, workplace, strategy):
    with started(workplace, program(workplace, cluster, strategy)) as process:
        assert ended(process) == 0, log(workplace, "said.log")
    assert_merged(workplace)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_job_of_an_executor_is_killed(cluster, workplace, prepared, strategy):
    if strategy == "submitit" and subprocess.run(["sacct", "-n"], capture_output=True).returncode:
        pytest.skip("submitit learns of killed jobs by sacct, which this Slurm does not answer: it waits for ever")
    command = program(workplace, cluster, strategy)
    with started(workplace, command, LD_PRELOAD=str(prepared / "slow.so"), WKFAST_SLOW="3000") as process:
        # Jobs of dask are workers, which have to be at work; those of others end with their few files.
        look_for(lambda: files_of(workplace / "merged") if "dask" in strategy else running_jobs(workplace), process)
        run("scancel", "--signal=KILL", "--full", running_jobs(workplace)[0])
        code = ended(process)
    if "dask" in strategy:
        assert code == 0, log(workplace, "said.log")
    else:
        assert code == 1
        assert "wkfast.errors.MergeError: " in log(workplace, "said.log")
        assert "; the same call goes on where this one ended" in log(workplace, "said.log")
        whole(workplace)
    assert_merged(workplace)


def test_dask_workers_that_are_killed(cluster, workplace, prepared):
    need("distributed")
    place = workplace / "scheduler.json"
    scheduler = [sys.executable, "-m", "dask", "scheduler", "--scheduler-file", place, "--no-dashboard", "--port", "0"]
    worker = [sys.executable, "-m", "dask", "worker", "--scheduler-file", place, "--nthreads", "1", "--no-nanny"]
    worker += ["--no-dashboard", "--death-timeout", "60"]
    slow = {"LD_PRELOAD": str(prepared / "slow.so")}
    with (
        started(workplace, scheduler) as first,
        started(workplace, worker, **slow),
        started(workplace, worker, **slow),
    ):
        address = look_for(lambda: place.is_file() and json.loads(place.read_text())["address"], first)
        strategy = ["--distribution-strategy", "dask"]
        command = [*WKFAST, *MERGE.split(), *strategy]
        with started(workplace, command, DASK_ADDRESS=address) as process:
            look_for(lambda: files_of(workplace / "merged"), process)
            at_work = json.loads(run(*WKFAST, "merge", "status", "merged", "--json", cwd=workplace))
            os.kill(at_work["workers"][0]["process"], signal.SIGKILL)
            assert ended(process) == 0, log(workplace, "said.log")
    assert_merged(workplace)


@pytest.mark.parametrize("number", [0, 1])
def test_mpi_ranks(cluster, workplace, prepared, number):
    need("mpi4py")
    (workplace / "program.py").write_text(blocks("mpi")[number])
    (script,) = blocks("mpi-sbatch")
    if number == 1:
        script = script.replace("python -m mpi4py.futures program.py", "python program.py")
    (workplace / "job.sbatch").write_text(script)
    path = with_wkfast(workplace, Path(sys.executable).parent)
    variables = f"ALL,PATH={path},LD_PRELOAD={prepared / 'slow.so'}"
    usual = ("--parsable", "--job-name=wkfast-test", f"--export={variables}", "--output=%j.log", "--nodes=2")
    job = run("sbatch", *usual, "job.sbatch", cwd=workplace).strip()
    in_the_middle(workplace, job)
    run("scontrol", "requeue", job)
    (done,) = wait(job)
    assert (done["JobState"], done["Restarts"]) == ("COMPLETED", "1"), log(workplace, "*.log")
    assert_merged(workplace)
