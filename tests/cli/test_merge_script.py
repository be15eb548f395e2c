"""`wkfast merge script`: what it hands to a scheduler is the merge, in jobs that are worth being one."""

import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.inputs import demo_input, tree_state, without_coarse_mags

import wkfast as wk
from wkfast.errors import MergeError
from wkfast.merge.arrays import array_sizes
from wkfast.merge.slurm import SlurmJobs

pytestmark = pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")

# Does at once what it is handed, notes its options, and gives it the next number.
SBATCH = r"""#!/bin/bash
job=$(($(cat number 2>/dev/null || echo 0) + 1)); echo "$job" >number
echo "$*" >>handed
first=0 last=0
for option; do
    case $option in
        --array=*) range=${option#--array=}; range=${range%\%*}; first=${range%-*}; last=${range#*-} ;;
        --cpus-per-task=*) export SLURM_CPUS_PER_TASK=${option#*=} ;;
    esac
done
script=$(cat)
for task in $(seq "$first" "$last"); do
    SLURM_JOB_ID=$job SLURM_ARRAY_TASK_ID=$task bash -c "$script" >>log 2>&1 || true
done
echo "$job"
"""


def wkfast(*arguments, cwd, check=True):
    command = [sys.executable, "-m", "wkfast", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert not check or done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Mag 1 painted alone: mags 2 and 4 are recomputed, in two further stages."""
    folder = tmp_path_factory.mktemp("inputs")
    without_coarse_mags(demo_input(folder).annotation)
    wkfast("merge-fallback", "merged", "annotation.zip", "datasets", cwd=folder)
    (folder / "merged").rename(folder / "expected")
    return folder


@pytest.fixture
def workplace(inputs, tmp_path):
    """Its name is one that a shell has to be told."""
    folder = tmp_path / "it's $HOME; of jobs"
    shutil.copytree(inputs, folder)
    wkfast("merge", "plan", "merge.plan", "merged", "annotation.zip", "datasets", cwd=folder)
    commands = folder / "bin"
    commands.mkdir()
    for name, text in {"sbatch": SBATCH, "srun": 'exec "$@"', "scontrol": 'echo "$@" >>told'}.items():
        (commands / name).write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        (commands / name).chmod(0o755)
    return folder


def script_of(folder, *options):
    return wkfast("merge", "script", "merge.plan", "--slurm", "--cpus", 1, *options, cwd=folder).stdout


def hand_in(script, folder):
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash"], input=script, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=True
    )


def content(target):
    files = tree_state(target)
    files.pop("wkfast-merge.json")
    return files


def handed(folder):
    return [line.split() for line in (folder / "handed").read_text().splitlines()]


def test_what_is_handed_in_is_the_merge(workplace):
    # Mag 1 is much, mag 2 less, mag 4 too little for an array.
    script = script_of(workplace, "--rate", "0.03", "--minutes", "1", "--at-once", "2", "--option=--comment=it's")
    said = hand_in(script, workplace).stdout
    assert said == "stage 0: 4 tasks, job 1\nstage 1: 2 tasks, job 2\ncommit: job 3\n"
    assert content(workplace / "merged") == content(workplace / "expected"), (workplace / "log").read_text()
    first, second, last = handed(workplace)
    assert ("--array=0-3%2" in first, "--array=0-1%2" in second) == (True, True)
    assert {"--ntasks=1", "--cpus-per-task=1", "--mem=4G", "--requeue", "--signal=USR1@60", "--comment=it's"} <= {
        *first
    } & {*last}
    assert not any(option.startswith("--dependency") for option in first)
    assert ("--dependency=afterany:1" in second, "--dependency=afterany:2" in last) == (True, True)


def test_what_is_little_is_one_job(workplace):
    hand_in(script_of(workplace), workplace)
    (only,) = handed(workplace)
    assert not any(option.startswith(("--array", "--dependency")) for option in only)
    assert content(workplace / "merged") == content(workplace / "expected")


def test_the_commit_does_what_the_arrays_have_left(workplace):
    """Tasks that never began, as those of a node that went down."""
    (workplace / "bin" / "srun").write_text('#!/bin/sh\ncase "$*" in *commit*) exec "$@";; esac; exit 1\n')
    hand_in(script_of(workplace, "--rate", "0.03", "--minutes", "1"), workplace)
    assert len(handed(workplace)) > 1
    assert content(workplace / "merged") == content(workplace / "expected")


def test_a_job_that_can_go_on_later_goes_back_into_the_queue(workplace):
    script = script_of(workplace).replace("--wait 600", "--wait 0")
    annotation = wk.Annotation.load(workplace / "annotation.zip")
    with annotation.plan_merge(workplace / "merged", workplace / "datasets").plan.hold():
        hand_in(script, workplace)
    assert (workplace / "told").read_text() == "requeue 1\n"
    (workplace / "told").unlink()
    hand_in(script, workplace)
    assert not (workplace / "told").exists()
    assert content(workplace / "merged") == content(workplace / "expected")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ((), ["for which scheduler", "--slurm"]),
        (("--slurm", "--minutes", "0"), ["minutes is 0.0", "positive"]),
        (("--slurm", "--rate", "-1"), ["bytes_per_second", "positive"]),
        (("--slurm", "--cpus", "0"), ["--cpus"]),
    ],
)
def test_mistakes_are_told(workplace, options, words):
    done = wkfast("merge", "script", "merge.plan", *options, cwd=workplace, check=False)
    assert done.returncode == 2
    assert all(word in done.stderr for word in words), done.stderr
    assert (done.stdout, "Traceback" in done.stderr) == ("", False)


class Plan:
    """As much of a plan as sizes of arrays depend on."""

    def __init__(self, stages):
        self.stage_work = [(len(stage), sum(stage)) for stage in stages]


@given(st.lists(st.lists(st.integers(0, 10**12), min_size=1), max_size=4), st.floats(1, 1e12), st.integers(1, 1000))
def test_a_task_of_an_array_is_as_much_as_wanted_unless_there_are_too_many(stages, wanted, most):
    sizes = array_sizes(Plan(stages), wanted, most)
    assert len(sizes) == len(stages)
    for work, size in zip(stages, sizes, strict=True):
        assert (size == 0) == (sum(work) <= wanted)
        assert size <= min(most, len(work))
        if 0 < size < min(most, len(work)):
            assert sum(work) / size <= wanted < sum(work) / (size - 1 or 0.5)


def test_numbers_that_are_none_are_refused():
    for name in ("cpus", "minutes", "bytes_per_second", "most_tasks", "at_once"):
        with pytest.raises(MergeError, match=f"{name} is 0"):
            SlurmJobs(**{name: 0})
