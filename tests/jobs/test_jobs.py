"""Batches of tasks on any executor: cut by cost, told of, stopped together, with the worker's own error in the end."""

import concurrent.futures as cf
import os
import threading
import time
from dataclasses import dataclass
from multiprocessing import get_context

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wkfast.errors import ExecutorError
from wkfast.jobs import Tally, Watch, batches, engine, ranges, run_jobs, worker_count

MANY = 10**9


@dataclass(frozen=True)
class Numbers:
    """Returns what it was asked for; task 13 is of no luck."""

    unlucky: int | None = None

    def run(self, first, end, threads):
        if self.unlucky is not None and first <= self.unlucky < end:
            raise ValueError(f"task {self.unlucky} failed") from KeyError("the cause")
        return [(task, threads) for task in range(first, end)]


@given(st.lists(st.integers(0, 2**40)), st.integers(1, 100))
def test_ranges_hold_every_task_once_in_order_and_are_worth_a_job(costs, workers):
    cuts = ranges(costs, workers)
    tasks = [task for first, end in cuts for task in range(first, end)]
    assert tasks == list(range(len(tasks)))
    assert all(cost == 0 for cost in costs[len(tasks) :])
    enough = max(batches.LEAST_BYTES_PER_JOB, sum(costs) / (workers * batches.JOBS_PER_WORKER))
    assert all(sum(costs[first:end]) >= enough for first, end in cuts[:-1])
    assert len(cuts) <= workers * batches.JOBS_PER_WORKER + 1


@pytest.mark.parametrize("kind", ["threads", "processes"])
def test_results_come_in_the_order_of_the_tasks(kind):
    seen = []
    processes = {"mp_context": get_context("spawn")}
    executor = cf.ThreadPoolExecutor(3) if kind == "threads" else cf.ProcessPoolExecutor(2, **processes)
    with executor:
        tally = Tally([MANY] * 30, lambda *now: seen.append(now))
        done = run_jobs(executor, Numbers(), tally)
    assert [task for part in done for task, _ in part] == list(range(30))
    assert len(done) > 3
    assert seen[0] == (0, 30, 0, 30 * MANY)
    assert seen[-1] == (30, 30, 30 * MANY, 30 * MANY)
    assert seen == sorted(seen)


@pytest.mark.parametrize(("told", "environment", "expected"), [(None, None, 1), (4, None, 4), (None, "3", None)])
def test_a_job_has_one_thread_unless_more_are_asked_for(told, environment, expected, monkeypatch):
    monkeypatch.delenv("WKFAST_THREADS", raising=False)
    if environment:
        monkeypatch.setenv("WKFAST_THREADS", environment)
    with cf.ThreadPoolExecutor(1) as executor:
        assert run_jobs(executor, Numbers(), Tally([1]), threads=told) == [[(0, expected)]]


def test_what_is_done_already_is_not_asked_for_again():
    seen = []
    with cf.ThreadPoolExecutor(2) as executor:
        tally = Tally([MANY] * 4, lambda *now: seen.append(now), open_tasks=[3])
        done = run_jobs(executor, Numbers(), tally)
        assert run_jobs(executor, Numbers(), Tally([MANY] * 4, open_tasks=[])) == []
    assert len(done) == 1
    assert done[0][-1] == (3, 1)
    assert seen == [(3, 4, 3 * MANY, 4 * MANY), (4, 4, 4 * MANY, 4 * MANY)]


@pytest.mark.parametrize("processes", [False, True])
def test_the_error_of_a_worker_arrives_with_its_cause(processes):
    executor = cf.ProcessPoolExecutor(1, mp_context=get_context("spawn")) if processes else cf.ThreadPoolExecutor(1)
    with executor, pytest.raises(ValueError, match="task 13 failed") as raised:
        run_jobs(executor, Numbers(13), Tally([MANY] * 20))
    assert "the cause" in str(raised.value.__cause__)


class Reluctant:
    """A future that can be neither asked nor cancelled."""

    def __init__(self, call):
        self._call = call

    def done(self):
        raise NotImplementedError

    def cancel(self):
        raise NotImplementedError("cannot cancel")

    def result(self):
        return self._call()


class Secretive:
    """An executor that tells nothing, and whose futures can do little."""

    def submit(self, function, *args):
        return Reluctant(lambda: function(*args))

    def __getattr__(self, name):
        raise NotImplementedError(name)


def test_an_executor_that_can_do_little_does_not_hide_the_workers_error():
    assert worker_count(Secretive()) == batches.WORKERS_UNKNOWN
    assert len(run_jobs(Secretive(), Numbers(), Tally([MANY] * 20))) == 20
    with pytest.raises(ValueError, match="task 13 failed"):
        run_jobs(Secretive(), Numbers(13), Tally([MANY] * 20))


class Farm:
    """A scheduler that takes all jobs at once, by a method of either name."""

    def __init__(self, method):
        self.arrays = []
        setattr(self, method, self._take)

    def _take(self, function, items):
        self.arrays.append(len(items))
        return [Reluctant(lambda item=item: function(item)) for item in items]


@pytest.mark.parametrize("method", ["map_to_futures", "map_array"])
def test_a_scheduler_that_takes_all_jobs_at_once_gets_them_so(method):
    farm = Farm(method)
    run_jobs(farm, Numbers(), Tally([MANY] * 20), workers=3)
    assert farm.arrays == [10]


class Hiding:
    """An executor that has its own error for whatever a job raises, as many have."""

    def submit(self, function, *args):
        def call():
            try:
                return function(*args)
            except Exception:  # noqa: BLE001
                raise OSError("job 3 failed, see its log") from None

        return Reluctant(call)


class Secret(Exception):  # noqa: N818
    def __reduce__(self):
        raise TypeError("cannot be pickled")


@dataclass(frozen=True)
class Secretly:
    def run(self, *_tasks):
        raise Secret("of two minds")


def test_an_executor_that_hides_errors_does_not_hide_those_of_jobs():
    with pytest.raises(ValueError, match="task 13 failed") as raised:
        run_jobs(Hiding(), Numbers(13), Tally([MANY] * 20))
    told = str(raised.value.__cause__)
    assert "the cause" in told
    assert "in run_batch" in told
    with pytest.raises(ExecutorError, match="Secret: of two minds"):
        run_jobs(Hiding(), Secretly(), Tally([MANY]))


class Losing:
    """An executor whose jobs are lost, with much to say of it."""

    def submit(self, *_call):
        def call():
            raise OSError("node went down\n" + "its log\n" * 1000)

        return Reluctant(call)


def test_what_an_executor_has_to_say_of_a_lost_job_is_told_in_a_line():
    with pytest.raises(ExecutorError) as raised:
        run_jobs(Losing(), Numbers(), Tally([MANY]))
    text = str(raised.value)
    assert text.startswith("the executor lost a job (OSError: node went down its log ")
    assert text.endswith(" …)")
    assert (len(text) < 500, "\n" in text) == (True, False)
    assert isinstance(raised.value.__cause__, OSError)


@dataclass(frozen=True)
class Deadly:
    def run(self, *_tasks):
        os._exit(1)


def test_a_worker_that_dies_is_an_error_that_says_so():
    with cf.ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with pytest.raises(ExecutorError, match="a worker died") as raised:
            run_jobs(executor, Deadly(), Tally([MANY]))
        assert isinstance(raised.value.__cause__, cf.BrokenExecutor)
        assert "goes on" not in str(raised.value)


def test_an_executor_that_was_shut_down_takes_no_work():
    executor = cf.ThreadPoolExecutor(1)
    executor.shutdown()
    with pytest.raises(ExecutorError, match="takes no work"):
        run_jobs(executor, Numbers(), Tally([MANY]))


def test_what_an_observer_raises_cancels_jobs_that_wait():
    begun, release = [], threading.Event()

    @dataclass(frozen=True)
    class Waiting:
        def run(self, first, *_more):
            begun.append(first)
            if first:
                release.wait(60)

    def stop(done, *_more):
        if done:
            raise KeyboardInterrupt

    with cf.ThreadPoolExecutor(1) as executor:
        with pytest.raises(KeyboardInterrupt):
            run_jobs(executor, Waiting(), Tally([MANY] * 4, stop))
        release.set()
    assert len(begun) <= 2


def test_running_jobs_are_told_to_stop_and_waited_for():
    wanted, begun, ended = threading.Event(), threading.Event(), []
    wanted.set()

    @dataclass(frozen=True)
    class Patient:
        def run(self, first, *_more):
            if not first:
                begun.wait(60)
                raise ValueError("failed")
            begun.set()
            while wanted.is_set():
                time.sleep(0.01)
            time.sleep(0.1)
            ended.append(first)

    with cf.ThreadPoolExecutor(2) as executor:
        with pytest.raises(ValueError, match="failed"):
            run_jobs(executor, Patient(), Tally([MANY] * 2), give_up=wanted.clear)
        assert ended == [1]


def test_those_that_do_not_stop_are_left(monkeypatch):
    monkeypatch.setattr(engine, "MOST_SECONDS_TO_SETTLE", 0.1)
    begun, release = threading.Event(), threading.Event()

    @dataclass(frozen=True)
    class Deaf:
        def run(self, first, *_more):
            if not first:
                begun.wait(60)
                raise ValueError("failed")
            begun.set()
            release.wait(60)

    with cf.ThreadPoolExecutor(2) as executor:
        with pytest.raises(ValueError, match="failed"):
            run_jobs(executor, Deaf(), Tally([MANY] * 2), give_up=lambda: None)
        release.set()


def test_a_watch_ends_a_job_whose_ticket_is_gone(tmp_path, monkeypatch):
    monkeypatch.setattr(engine, "SECONDS_BETWEEN_LOOKS", 0)
    ticket = tmp_path / "ticket"
    ticket.touch()
    watch = Watch(ticket, "the work")
    watch(1, 2)
    ticket.unlink()
    with pytest.raises(ExecutorError, match="the work was given up"):
        watch(1, 2)
