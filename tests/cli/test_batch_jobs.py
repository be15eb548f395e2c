"""Merges as jobs of a scheduler: they stop when told to and go on later, wait for each other, say how far they are."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
from tests.inputs import demo_input, tree_state, without_coarse_mags

import wkfast as wk
from wkfast.errors import MergeError, StopRequested, TargetBusyError, TargetNotEmptyError
from wkfast.jobs import stop_on_signals
from wkfast.merge import MergeState, merge_status
from wkfast.merge.arrays import run_share
from wkfast.merge.options import MergeOptions

AGAIN = 75
MERGE = ("merge-fallback", "merged", "annotation.zip", "datasets")

# What it is asked for, and a signal once the first file is written.
SIGNALLED = """
import contextlib, os, signal, sys
from wkfast.cli.app import main
from wkfast.merge import job

told = []

@contextlib.contextmanager
def observed(*_arguments, **_options):
    def observe(done, *_rest):
        if done and not told:
            told.append(done)
            os.kill(os.getpid(), getattr(signal, sys.argv[1]))
    yield observe

job.observed = observed
main(sys.argv[2:])
"""


def wkfast(*arguments, cwd, start=("-m", "wkfast"), **variables):
    command = [sys.executable, *start, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, env={**os.environ, **variables})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Mag 1 painted alone: mags 2 and 4 are recomputed, in two further stages."""
    folder = tmp_path_factory.mktemp("inputs")
    without_coarse_mags(demo_input(folder).annotation)
    return folder


@pytest.fixture
def workplace(inputs, tmp_path):
    shutil.copytree(inputs, tmp_path, dirs_exist_ok=True)
    return tmp_path


def job_in(folder, target="merged"):
    annotation = wk.Annotation.load(folder / "annotation.zip")
    return annotation.plan_merge(folder / target, folder / "datasets", options=MergeOptions())


def content(target):
    files = tree_state(target)
    files.pop("wkfast-merge.json")
    return files


@pytest.mark.parametrize("name", ["SIGUSR1", "SIGTERM"])
def test_a_signal_ends_a_merge_behind_the_file_at_hand_and_the_same_command_goes_on(workplace, name):
    stopped = wkfast(name, *MERGE, "--jobs", "1", cwd=workplace, start=("-c", SIGNALLED))
    assert (stopped.returncode, stopped.stdout) == (AGAIN, "")
    assert stopped.stderr == f"stopped by {name}: what is done stays done, the same command goes on\n"
    status = merge_status(workplace / "merged")
    assert status.state is MergeState.STOPPED
    assert 0 < status.files_done < status.files
    assert list((workplace / "merged" / ".wkfast-merge" / "tmp").iterdir()) == []
    assert wkfast(*MERGE, cwd=workplace).returncode == 0
    result = content(workplace / "merged")
    shutil.rmtree(workplace / "merged")
    wkfast(*MERGE, cwd=workplace)
    assert content(workplace / "merged") == result


def test_a_file_at_hand_is_finished_unless_the_signal_comes_again(workplace):
    job, told = job_in(workplace), []

    def progress(done, _total):
        told.append(done)
        os.kill(os.getpid(), signal.SIGUSR1)

    with pytest.raises(StopRequested, match="stopped by SIGUSR1"), stop_on_signals():
        job.run(MergeOptions(threads=1, progress=progress))
    # What a second signal ended wrote nothing: all that is noted is whole.
    status = merge_status(workplace / "merged")
    assert status.files_done == len(list((workplace / "merged").rglob("x*.wkw")))
    job.merge(MergeOptions())


def test_a_process_that_comes_several_times_is_one_worker(workplace):
    job = job_in(workplace)
    for task in range(3):
        run_share(job, task, 4, threads=1)
    status = merge_status(workplace / "merged")
    (worker,) = status.workers
    assert len(list((workplace / "merged" / ".wkfast-merge").glob("*.jsonl"))) > 1
    assert (worker.process, worker.files, worker.bytes, worker.gone) == (
        os.getpid(), status.files_done, status.bytes_done, False,
    )  # fmt: skip
    job.merge(MergeOptions())


def test_handlers_are_what_they_were_and_belong_to_the_main_thread():
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    with stop_on_signals(signal.SIGUSR2):
        assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before
    with stop_on_signals():
        assert signal.getsignal(signal.SIGTERM) != before[0]
        seen = []
        thread = threading.Thread(target=lambda: seen.append(in_a_thread()))
        thread.start()
        thread.join()
    assert seen == [True]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before


def in_a_thread():
    with stop_on_signals():
        return True


def test_who_comes_second_is_told_of_the_first_and_to_come_again(workplace):
    with job_in(workplace).plan.hold():
        refused = wkfast(*MERGE, cwd=workplace)
        assert refused.returncode == AGAIN
        host = os.uname().nodename
        assert f"is being written by another process (process {os.getpid()} on {host})" in refused.stderr
        assert "Traceback" not in refused.stderr
        with pytest.raises(TargetBusyError) as caught:
            job_in(workplace).merge(MergeOptions())
        assert isinstance(caught.value, TargetNotEmptyError)
    assert wkfast(*MERGE, cwd=workplace).returncode == 0


def test_who_comes_second_can_wait(workplace):
    hold = job_in(workplace).plan.hold()
    command = [sys.executable, "-m", "wkfast", *MERGE, "--wait", "60"]
    waiting = subprocess.Popen(command, cwd=workplace, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    said = waiting.stderr.readline()
    hold.release()
    rest = waiting.communicate()[1]
    assert (waiting.returncode, rest) == (0, "")
    assert said.startswith("waiting up to 60 s: target ")
    assert f"process {os.getpid()} on " in said


def test_waiting_has_an_end(workplace):
    with job_in(workplace).plan.hold():
        began = time.monotonic()
        refused = wkfast(*MERGE, "--wait", "0.3", cwd=workplace)
        assert time.monotonic() - began >= 0.3
    assert refused.returncode == AGAIN
    assert refused.stderr.count("is being written by another process") == 2


def test_the_status_of_a_merge_is_told_from_beside_it(workplace):
    status = ("merge", "status", "merged")
    none = wkfast(*status, cwd=workplace)
    assert none.returncode == 2
    assert "there is no merge into merged" in none.stderr

    wkfast("merge", "plan", "merge.plan", "merged", "annotation.zip", "datasets", cwd=workplace)
    said = wkfast("merge", "run", "merge.plan", "--stage", "0", cwd=workplace)
    assert said.returncode == 0, said.stderr
    before = tree_state(workplace / "merged")
    facts = json.loads(wkfast(*status, "--json", cwd=workplace).stdout)
    assert tree_state(workplace / "merged") == before
    assert (facts["state"], facts["files_done"], facts["files"]) == ("stopped", 4, 12)
    assert 0 < facts["bytes_done"] < facts["bytes"]
    assert [(worker["host"], worker["files"], worker["gone"]) for worker in facts["workers"]] == [
        (os.uname().nodename, 4, True)
    ]
    with job_in(workplace).plan.hold():
        lines = wkfast(*status, cwd=workplace).stdout.splitlines()
    assert lines[0].startswith("at work: 4 of 12 files, ")
    assert lines[0].endswith("min left")
    assert f"on {os.uname().nodename}: 4 files, the last one " in lines[1]
    assert lines[1].endswith("s ago, gone")

    wkfast("merge", "commit", "merge.plan", "--finish", cwd=workplace)
    assert wkfast("merge", "status", "merge.plan", cwd=workplace).stdout.startswith("committed: 12 of 12 files, ")


def test_the_status_names_what_failed_until_it_is_done(workplace):
    damaged = next((workplace / "datasets").rglob("1/**/x0.wkw"))
    whole = damaged.read_bytes()
    stat = damaged.stat()
    damaged.write_bytes(whole[: len(whole) // 4].ljust(len(whole), b"\xff"))
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert wkfast(*MERGE, cwd=workplace).returncode == 2
    (failure,) = merge_status(workplace / "merged").failures
    assert "x0.wkw" in failure
    with damaged.open("r+b") as file:
        file.write(whole)
    os.utime(damaged, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    job_in(workplace).run(MergeOptions())
    assert merge_status(workplace / "merged").failures == ()


def test_a_process_of_another_machine_that_is_silent_is_stale_while_somebody_is_at_work(workplace):
    run_share(job_in(workplace), 0, 2, threads=1)
    (notes,) = (workplace / "merged" / ".wkfast-merge").glob("*.jsonl")
    head, *lines = notes.read_text().splitlines()
    records = [json.loads(line) for line in lines]

    def silent_for(seconds):
        # of a row the sixth is when the task began, the seventh how long it took, in microseconds
        began = int((time.time() - seconds - 1) * 1e6)
        moved = [[*record[:5], began, 1_000_000, *record[7:]] for record in records]
        there = head.replace(f"{os.uname().nodename} ", "elsewhere ")
        notes.write_text("\n".join([there, *(json.dumps(row, separators=(",", ":")) for row in moved)]) + "\n")
        (worker,) = merge_status(workplace / "merged").workers
        assert (worker.host, worker.gone) == ("elsewhere", False)
        return worker.stale

    assert not silent_for(100)
    with job_in(workplace).plan.hold():
        assert not silent_for(30)
        assert silent_for(100)
        said = wkfast("merge", "status", "merged", cwd=workplace).stdout.splitlines()[1]
        assert re.search(r"process \d+ on elsewhere: \d files?, the last one 10\d s ago, stale$", said), said


def test_the_provenance_names_who_made_a_merge_with_what(workplace):
    run = [wkfast("merge", "plan", "plan.json", *MERGE[1:], cwd=workplace)]
    run += [wkfast("merge", "run", "plan.json", "--stage", "0", cwd=workplace)]
    run += [wkfast("merge", "commit", "plan.json", "--finish", cwd=workplace)]
    assert [done.returncode for done in run] == [0, 0, 0], run
    written = json.loads((workplace / "merged" / "wkfast-merge.json").read_text())
    made, host = written["made"], os.uname().nodename
    assert (made["wkfast"], made["committed_by"]["host"]) == (wk.__version__, host)
    assert abs(time.time() - made["committed_by"]["at"]) < 600
    assert [(worker["host"], worker["files"]) for worker in made["workers"]] == [(host, 8), (host, 4)]
    assert all(worker["seconds"] > 0 for worker in made["workers"])
    assert written["report"]["seconds"].keys() == {"plan", "run", "work", "verify", "commit"}

    job_in(workplace, "again").merge(MergeOptions())
    made = json.loads((workplace / "again" / "wkfast-merge.json").read_text())["made"]
    assert [(worker["process"], worker["files"]) for worker in made["workers"]] == [(os.getpid(), 12)]


def test_no_merge_is_no_status(tmp_path):
    with pytest.raises(MergeError, match="there is no merge into"):
        merge_status(tmp_path)


THREADS = """
import sys
from pathlib import Path
import wkfast as wk

wk.Dataset.open(sys.argv[1]).get_segmentation_layers()[0].get_finest_mag().read()
names = [(task / "comm").read_text() for task in Path("/proc/self/task").iterdir()]
print(sum(name.startswith("wkfast-") for name in names))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="threads are counted in Linux's /proc")
@pytest.mark.parametrize(
    ("variables", "threads"),
    [
        ({}, len(os.sched_getaffinity(0))),
        ({"SLURM_CPUS_PER_TASK": "1"}, 1),
        ({"SLURM_CPUS_PER_TASK": "4096"}, len(os.sched_getaffinity(0))),
        ({"SLURM_CPUS_PER_TASK": "(null)"}, len(os.sched_getaffinity(0))),
        ({"SLURM_CPUS_PER_TASK": "1", "WKFAST_THREADS": "2"}, 2),
    ],
)
def test_threads_are_those_that_the_scheduler_gave(workplace, variables, threads):
    (dataset,) = (workplace / "datasets").iterdir()
    given = {"SLURM_CPUS_PER_TASK": "", "WKFAST_THREADS": "", **variables}
    done = wkfast(dataset, cwd=workplace, start=("-c", THREADS), **given)
    assert (done.stdout.strip(), done.stderr) == (str(threads), "")
