"""Whoever does the work, the merged dataset is the same; what goes wrong on a worker is told here, and cleanly."""

import concurrent.futures as cf
import os
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.inputs import demo_input, tree_state

import wkfast as wk
from wkfast import _core
from wkfast.dataset.plan_workers import MergeWork, run_on_workers
from wkfast.errors import MergeError, TargetNotEmptyError, VolumeDataError
from wkfast.jobs import batches, engine, run_batch, worker_count
from wkfast.jobs.engine import Batch
from wkfast.merge.job import MergeJob


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return demo_input(tmp_path_factory.mktemp("executors"))


@pytest.fixture
def annotation(source):
    return wk.Annotation.load(source.annotation)


@pytest.fixture
def small_jobs(monkeypatch):
    """Every file is worth a job of its own."""
    monkeypatch.setattr(batches, "LEAST_BYTES_PER_JOB", 1)


@pytest.fixture(scope="module")
def expected(source, tmp_path_factory):
    target = tmp_path_factory.mktemp("undisturbed") / "target"
    wk.Annotation.load(source.annotation).merge_fallback_layer(target, source.dataset_directory)
    return content(target)


def content(target):
    """Every file without the report, which holds times, and the properties, which hold the folder's name.

    Nor are there files that a forked worker still has open, which network mounts keep by another name meanwhile.
    """
    own = {"wkfast-merge.json", "datasource-properties.json"}
    held = (".fuse_hidden", ".nfs")
    found = tree_state(target).items()
    return {name: data for name, data in found if name not in own and not Path(name).name.startswith(held)}


def check(executor, annotation, source, target, expected):
    seen = []
    report = annotation.merge_fallback_layer(
        target, source.dataset_directory, executor=executor, progress=lambda *now: seen.append(now)
    )
    assert content(target) == expected
    assert wk.Dataset.open(target).get_layer("segmentation").largest_segment_id == 901
    assert report.total.from_annotation > 0
    assert seen == sorted(seen)
    assert seen[0] == (0, 12)
    assert seen[-1] == (12, 12)
    return seen


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_merge_as_one_does(method, annotation, source, tmp_path, expected, small_jobs):
    with cf.ProcessPoolExecutor(2, mp_context=get_context(method)) as executor:
        seen = check(executor, annotation, source, tmp_path / "target", expected)
    assert len(seen) > 4


def test_threads_of_a_pool_merge_as_one_does(annotation, source, tmp_path, expected, small_jobs):
    with cf.ThreadPoolExecutor(3) as executor:
        check(executor, annotation, source, tmp_path / "target", expected)


def test_small_merges_are_one_job(annotation, source, tmp_path, expected):
    with cf.ThreadPoolExecutor(3) as executor:
        seen = check(executor, annotation, source, tmp_path / "target", expected)
    assert seen == [(0, 12), (12, 12)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("processes", [False, True])
def test_a_dask_cluster_merges_as_one_process_does(
    processes, annotation, source, tmp_path, expected, small_jobs, monkeypatch
):
    distributed = pytest.importorskip("distributed", reason="distributed is not installed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=processes, dashboard_address=None, local_directory=tmp_path
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        executor = client.get_executor()
        assert worker_count(executor) == 2
        check(executor, annotation, source, tmp_path / "target", expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ["sequential", "sequential_with_pickling", "multiprocessing"])
def test_executors_of_cluster_tools_merge_as_one_process_does(
    name, annotation, source, tmp_path, expected, small_jobs, monkeypatch
):
    cluster_tools = pytest.importorskip("cluster_tools", reason="cluster-tools is not installed")
    monkeypatch.chdir(tmp_path)
    with cluster_tools.get_executor(name, max_workers=2) as executor:
        check(executor, annotation, source, tmp_path / "target", expected)


class LaterFuture:
    """A future that is none of concurrent.futures, as submitit's jobs are."""

    def __init__(self, call):
        self._call = call
        self._looks = 0

    def done(self):
        self._looks += 1
        return self._looks > 1

    def result(self):
        return self._call()

    def cancel(self):
        return True


class OtherExecutor:
    def submit(self, function, *args):
        return LaterFuture(lambda: function(*args))


def test_any_executor_with_submit_will_do(annotation, source, tmp_path, expected, small_jobs):
    assert worker_count(OtherExecutor()) == batches.WORKERS_UNKNOWN
    check(OtherExecutor(), annotation, source, tmp_path / "target", expected)


def test_what_is_no_executor_is_refused_before_anything_is_written(annotation, source, tmp_path):
    with pytest.raises(MergeError, match=r"executor is a int, expected something like .*ProcessPoolExecutor"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, executor=4)
    assert not (tmp_path / "target").exists()


def test_an_error_of_a_worker_names_file_and_chunk_and_the_rest_is_cancelled(tmp_path, small_jobs):
    source = demo_input(tmp_path)
    shard = next((source.dataset_directory / "demo_dataset/segmentation/2").rglob("x0.wkw"))
    shard.write_bytes(shard.read_bytes()[:-100])
    annotation = wk.Annotation.load(source.annotation)
    with (
        cf.ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor,
        pytest.raises(VolumeDataError, match=r"segmentation/2.*x0\.wkw"),
    ):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, executor=executor)
    assert not (tmp_path / "target/datasource-properties.json").exists()
    assert not list((tmp_path / "target/.wkfast-merge").glob("*.ticket"))


def die(_batch):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_worker_that_dies_leaves_a_merge_that_goes_on(
    annotation, source, tmp_path, expected, small_jobs, monkeypatch
):
    target = tmp_path / "target"
    with cf.ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        monkeypatch.setattr(engine, "try_batch", die)
        with pytest.raises(MergeError, match=r"a worker died .* goes on where this one ended"):
            annotation.merge_fallback_layer(target, source.dataset_directory, executor=executor)
    monkeypatch.undo()
    with cf.ThreadPoolExecutor(1) as executor:
        annotation.merge_fallback_layer(target, source.dataset_directory, executor=executor)
    assert content(target) == expected


@pytest.mark.parametrize("processes", [False, True])
def test_workers_verify_what_they_wrote(processes, annotation, source, tmp_path, expected, small_jobs):
    executor = cf.ProcessPoolExecutor(2, mp_context=get_context("spawn")) if processes else cf.ThreadPoolExecutor(2)
    seen = []
    with executor:
        report = annotation.merge_fallback_layer(
            tmp_path / "target", source.dataset_directory, executor=executor, verify=True,
            progress=lambda *now: seen.append(now),
        )  # fmt: skip
    alone = annotation.merge_fallback_layer(tmp_path / "alone", source.dataset_directory, verify=True)
    counts = ("shards", "shards_equal", "chunks", "bytes_read")
    assert [report.verified[name] for name in counts] == [alone.verified[name] for name in counts]
    assert seen.count((12, 12)) == 2
    assert content(tmp_path / "target") == expected


def test_workers_find_a_difference_and_nothing_is_committed(annotation, source, tmp_path, small_jobs):
    target = tmp_path / "target"
    job = annotation.plan_merge(target, source.dataset_directory)
    job.plan.run()
    shard = max(target.rglob("x0.wkw"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(bytes(data))
    with cf.ThreadPoolExecutor(2) as executor, pytest.raises(VolumeDataError, match=r"x0\.wkw"):
        annotation.merge_fallback_layer(target, source.dataset_directory, executor=executor, verify=True)
    assert not (target / "datasource-properties.json").exists()


def test_what_is_done_is_not_done_again(annotation, source, tmp_path, expected, small_jobs):
    target = tmp_path / "target"
    job = annotation.plan_merge(target, source.dataset_directory)
    job.plan.run((0, 7))
    before = {file: file.stat().st_mtime_ns for file in target.rglob("*.wkw") if file.name != "header.wkw"}
    seen = []
    with cf.ThreadPoolExecutor(2) as executor:
        annotation.merge_fallback_layer(
            target, source.dataset_directory, executor=executor, progress=lambda *now: seen.append(now)
        )
    assert seen[0] == (7, 12)
    assert {file: file.stat().st_mtime_ns for file in before} == before
    assert content(target) == expected


def test_two_merges_of_one_target_exclude_each_other(annotation, source, tmp_path):
    job = annotation.plan_merge(tmp_path / "target", source.dataset_directory)
    with job.plan.hold(), cf.ThreadPoolExecutor(1) as executor, pytest.raises(TargetNotEmptyError, match="another"):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, executor=executor)


def test_a_worker_stops_when_the_merge_was_given_up(annotation, source, tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_LOOKS", 0)
    plan = annotation.plan_merge(tmp_path / "target", source.dataset_directory).plan
    with plan.hold() as hold:
        batch = Batch(
            MergeWork(tmp_path / "target" / hold.plan_file, tmp_path / "target" / hold.ticket), 0, plan.task_count, 1
        )
    with pytest.raises(MergeError, match="given up while this job ran"):
        run_batch(batch)


def test_ctrl_c_cancels_what_waits(annotation, source, tmp_path, small_jobs):
    plan = annotation.plan_merge(tmp_path / "target", source.dataset_directory).plan
    release = threading.Event()
    with cf.ThreadPoolExecutor(1) as executor:
        blocked = executor.submit(release.wait)
        interrupt = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        # If that is lost, the job ends, and so does the test.
        too_long = threading.Timer(60, release.set)
        interrupt.start()
        too_long.start()
        with pytest.raises(KeyboardInterrupt):
            run_on_workers(plan, tmp_path / "target", executor)
        too_long.cancel()
        assert not blocked.done()
        release.set()
    assert plan.open_tasks() == list(range(plan.task_count))


def test_the_number_of_threads_of_a_job_is_checked_where_it_runs(annotation, source, tmp_path, monkeypatch):
    monkeypatch.setenv("WKFAST_THREADS", "zero")
    with cf.ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match='WKFAST_THREADS is "zero"'):
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, executor=executor)
    with cf.ThreadPoolExecutor(1) as executor:
        annotation.merge_fallback_layer(tmp_path / "target", source.dataset_directory, executor=executor, threads=1)


INTERRUPTED = """
import sys, concurrent.futures as cf, multiprocessing
import wkfast as wk
from wkfast.jobs import batches

if __name__ == "__main__":
    batches.LEAST_BYTES_PER_JOB = 1
    annotation = wk.Annotation.load(sys.argv[1])
    with cf.ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        annotation.merge_fallback_layer(sys.argv[2], sys.argv[3], executor=executor)
"""


def test_a_merge_on_processes_killed_at_any_moment_is_finished_by_the_same_call(source, tmp_path, expected):
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    target = tmp_path / "target"
    command = [sys.executable, str(script), str(source.annotation), str(target), str(source.dataset_directory)]
    for delay in (0.3, 0.7):
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True)
        time.sleep(delay)
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        if (target / "datasource-properties.json").exists():
            return
    subprocess.run(command, check=True)
    assert content(target) == expected


def test_plans_of_other_programs_are_refused(tmp_path):
    with pytest.raises(MergeError, match="not a merge plan"):
        MergeJob.from_json('{"a": 1}')
    with pytest.raises(MergeError, match="another version"):
        MergeJob.from_json('{"wkfast_merge": 99}')


def test_a_job_travels_as_text(annotation, source, tmp_path, expected):
    text = annotation.plan_merge(tmp_path / "target", source.dataset_directory).to_json()
    job = MergeJob.from_json(text)
    assert isinstance(job.plan, _core.MergePlan)
    assert not (tmp_path / "target").exists()
    job.plan.run()
    job.commit()
    assert content(tmp_path / "target") == expected
