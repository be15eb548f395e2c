"""What the docs tell users of Slurm to run, on the Slurm that can be reached, with jobs disturbed in the middle.

Jobs lie in ``WKFAST_CLUSTER_FOLDER``, a folder that every node sees as this machine does; default: ``build`` of the
checkout, which nodes have to see anyway.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest
from tests.inputs import demo_input, tree_state, without_coarse_mags

import wkfast as wk

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 300
MERGE = "merge-fallback merged annotation.zip datasets"


def why_not():
    """Why there is no Slurm to work with."""
    if shutil.which("sbatch") is None or shutil.which("cc") is None:
        return "Slurm's commands or a C compiler are not installed"
    try:
        asked = subprocess.run(["sinfo", "-h", "-N", "-o", "%N"], capture_output=True, text=True, timeout=20)
    except subprocess.TimeoutExpired:
        return "Slurm does not answer"
    if asked.returncode or not asked.stdout.strip():
        return f"no Slurm can be reached (set SLURM_CONF): {asked.stderr.strip().splitlines()[-1:]}"
    return None


pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def nodes():
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    return sorted(set(run("sinfo", "-h", "-N", "-o", "%N").split()))


@pytest.fixture(scope="module")
def prepared(nodes):
    """Mag 1 painted alone, so that mags 2 and 4 are further stages, and what an undisturbed merge makes of it."""
    folder = Path(os.environ.get("WKFAST_CLUSTER_FOLDER", ROOT / "build" / "cluster")) / uuid.uuid4().hex
    folder.mkdir(parents=True)
    without_coarse_mags(demo_input(folder).annotation)
    run(sys.executable, "-m", "wkfast", *MERGE.split(), cwd=folder)
    (folder / "merged").rename(folder / "expected")
    run("cc", "-shared", "-fPIC", "-o", folder / "slow.so", Path(__file__).with_name("slow.c"), "-ldl")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def workplace(prepared):
    folder = prepared / uuid.uuid4().hex
    folder.mkdir()
    for name in ("annotation.zip", "datasets", "expected"):
        (folder / name).symlink_to(prepared / name)
    yield folder
    subprocess.run(["scancel", "--name", "wkfast-stage0,wkfast-stage1,wkfast-commit,wkfast-test"])


def run(*command, cwd=None):
    done = subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def slow(prepared):
    return f"env LD_PRELOAD={prepared / 'slow.so'} {sys.executable} -m wkfast"


def arrays(folder, prepared):
    """Hand in what `wkfast merge script` prints, slowed down, and return the numbers of its jobs."""
    wkfast = (sys.executable, "-m", "wkfast")
    run(*wkfast, *MERGE.replace("merge-fallback", "merge plan plan.json").split(), cwd=folder)
    sizes = ("--cpus", 1, "--mem", "200M", "--rate", "0.05", "--minutes", "1", "--command", slow(prepared))
    script = run(*wkfast, "merge", "script", "plan.json", "--slurm", *sizes, cwd=folder)
    (folder / "merge.sh").write_text(script)
    return re.findall(r"job (\d+)$", run("bash", "merge.sh", cwd=folder), re.MULTILINE)


def readme_job(folder, prepared, *options, changes=()):
    """Hand in the batch script of the README and return its number."""
    (script,) = re.findall(r"^```sbatch\n(.*?)^```", (ROOT / "README.md").read_text(), re.DOTALL | re.MULTILINE)
    for before, after in (
        ("srun wkfast", f"srun {slow(prepared)}"),
        ("cpus-per-task=16", "cpus-per-task=1"),
        ("mem=4G", "mem=200M"),
        *changes,
    ):
        assert before in script
        script = script.replace(before, after)
    number = uuid.uuid4().hex
    (folder / f"{number}.sbatch").write_text(script)
    variables = "ALL,TARGET=merged,ANNOTATION=annotation.zip,DATASETS=datasets"
    usual = ("--parsable", "--job-name=wkfast-test", "--open-mode=append", f"--export={variables}", "--output=%j.log")
    return run("sbatch", *usual, *options, f"{number}.sbatch", cwd=folder).strip()


def facts(job):
    """What Slurm says of a job; of an array of each task."""
    lines = run("scontrol", "show", "job", "-o", job).splitlines()
    return [dict(part.split("=", 1) for part in line.split(" ") if "=" in part) for line in lines]


def wait(job):
    """Wait for the end of a job, requeued or not, and return what Slurm says of it then."""

    def ended():
        found = facts(job)
        if found[0]["JobState"] == "PENDING" and found[0]["Restarts"] != "0":
            # Slurm leaves a requeued job where it is for a while.
            subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], capture_output=True)
        return all(map(over, found))

    return until(ended, job)


def over(found):
    return found["JobState"] not in {"PENDING", "RUNNING", "COMPLETING", "CONFIGURING", "REQUEUED"}


def until(reached, job):
    end = time.monotonic() + LONGEST_SECONDS
    while not reached():
        assert time.monotonic() < end, facts(job)
        time.sleep(0.2)
    return facts(job)


def files_of(target):
    return [path for path in target.rglob("x*.wkw") if ".wkfast-merge" not in path.parts]


def in_the_middle(folder, job):
    """Wait until a merge has written something; it has not written all, for it is slow."""
    until(lambda: files_of(folder / "merged"), job)
    assert len(files_of(folder / "merged")) < len(files_of(folder / "expected"))


def log(folder, pattern):
    return "".join(path.read_text() for path in sorted(folder.glob(pattern)))


def assert_merged(folder):
    expected, merged = (tree_state(folder / name) for name in ("expected", "merged"))
    for files in (expected, merged):
        files.pop("wkfast-merge.json")
    assert merged == expected
    assert not list((folder / "merged").glob(".wkfast*"))


def test_arrays_and_commit_make_what_one_merge_makes(workplace, prepared):
    first, commit = arrays(workplace, prepared)
    (done,) = wait(commit)
    assert (done["JobState"], done["ExitCode"]) == ("COMPLETED", "0:0"), log(workplace, "*.log")
    assert {found["ExitCode"] for found in facts(first)} == {"0:0"}
    assert_merged(workplace)
    status = json.loads(run(sys.executable, "-m", "wkfast", "merge", "status", "plan.json", "--json", cwd=workplace))
    assert (status["state"], status["files_done"]) == ("committed", 12)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", log(workplace, "*.log"))


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
