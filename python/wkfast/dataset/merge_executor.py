"""Tasks of a merge on somebody else's workers: processes, a dask cluster, jobs of Slurm or Kubernetes.

A job is a batch: the path of the plan in the target, a range of tasks, a number of threads. Workers need to see the
same files, nothing else. The process that hands out batches holds the target; its ticket tells workers to go on.
"""

from __future__ import annotations

import concurrent.futures as cf
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.errors import MergeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wkfast.progress import Observer

# Less than this is not worth a job: about a second of a slow disk.
LEAST_BYTES_PER_JOB = 64 * 2**20
# Jobs differ in length; with a few for each worker none waits long for the last.
JOBS_PER_WORKER = 4
# For executors that do not tell how many workers they have.
WORKERS_UNKNOWN = 8
# How often this process looks after its jobs, and a worker after its ticket.
SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Batch:
    """One job, as plain data."""

    plan_file: str
    ticket: str
    first: int
    end: int
    threads: int | None


@dataclass(frozen=True)
class BatchDone:
    """What a job did."""

    tasks: int
    bytes_written: int


def run_batch(batch: Batch) -> BatchDone:
    """Run the tasks of one job; the function that workers call.

    Raises
    ------
    VolumeDataError
        A chunk is damaged; the message names file and chunk.
    MergeError
        The merge was given up while this job ran.
    """
    plan = _plan(batch.plan_file, batch.ticket)
    threads = batch.threads
    if threads is None and not os.environ.get("WKFAST_THREADS"):
        threads = 1
    done = plan.run((batch.first, batch.end), threads=threads, progress=_Watch(batch.ticket), access="coordinated")
    return BatchDone(done["tasks"], done["bytes_written"])


@lru_cache(maxsize=2)
def _plan(plan_file: str, ticket: str) -> _core.MergePlan:  # noqa: ARG001 - a new ticket may mean a new plan in the file
    return _core.MergePlan.from_json(Path(plan_file).read_text(encoding="utf-8"))


class _Watch:
    """Ends a worker's run when the process that wanted it has let go of the target."""

    def __init__(self, ticket: str) -> None:
        self._ticket = Path(ticket)
        self._looked = time.monotonic()

    def __call__(self, *_progress: int) -> None:
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        if not self._ticket.exists():
            raise MergeError("the merge was given up while this job ran; what is done stays done")


def run_on(
    executor: Any,
    plan: _core.MergePlan,
    *,
    threads: int | None = None,
    workers: int | None = None,
    observer: Observer | None = None,
) -> None:
    """Run every task of `plan` that is open as jobs of `executor`, stage after stage.

    On an error or Ctrl-C, jobs that wait are cancelled and those that run are told to stop; what is done stays done.

    Raises
    ------
    VolumeDataError
        A chunk is damaged; the message names file and chunk.
    TargetNotEmptyError
        Another process is at work in the target.
    """
    tally = _Tally(plan, observer)
    workers = workers or worker_count(executor)
    with plan.hold() as hold:
        for first, end in plan.stages:
            batches = [
                Batch(str(hold.plan_file), str(hold.ticket), first + start, first + stop, threads)
                for start, stop in ranges(tally.costs[first:end], workers)
            ]
            _run_stage(executor, batches, hold, tally)


def ranges(costs: Sequence[int], workers: int) -> list[tuple[int, int]]:
    """Cut tasks into ranges of about equal cost, a few for each worker, none too small to be worth a job.

    Tasks that cost nothing because they are done ride along with their neighbours.

    Examples
    --------
    >>> gigabyte = 10**9
    >>> ranges([gigabyte] * 8, workers=1)
    [(0, 2), (2, 4), (4, 6), (6, 8)]
    >>> ranges([1000] * 500, workers=2)
    [(0, 500)]
    >>> ranges([0, 0, 0], workers=2)
    []
    """
    enough = max(LEAST_BYTES_PER_JOB, -(-sum(costs) // (workers * JOBS_PER_WORKER)))
    cuts, gathered = [0], 0
    for task, cost in enumerate(costs):
        gathered += cost
        if gathered >= enough:
            cuts.append(task + 1)
            gathered = 0
    if gathered:
        cuts.append(len(costs))
    return list(pairwise(cuts))


def worker_count(executor: Any) -> int:
    """Return how many jobs an executor runs at once, as far as it tells."""
    told = getattr(executor, "_max_workers", None)  # of concurrent.futures and of what derives from it
    if isinstance(told, int) and told > 0:
        return told
    client = getattr(executor, "_client", None)  # of dask.distributed
    if client is not None and callable(getattr(client, "nthreads", None)):
        threads: int = sum(client.nthreads().values())
        return max(1, threads)
    return WORKERS_UNKNOWN


class _Tally:
    """What each task costs and how far all of them are."""

    def __init__(self, plan: _core.MergePlan, observer: Observer | None) -> None:
        open_tasks = set(plan.open_tasks())
        # A task without a byte is a task all the same.
        self.costs = [(work + 1) * (task in open_tasks) for task, work in enumerate(plan.work_bytes())]
        self._observer = observer
        self._total, self._bytes_total = plan.task_count, sum(plan.work_bytes())
        self._done, self._bytes_done = self._total - len(open_tasks), self._bytes_total - self._left(self.costs)
        self.add(None)

    def add(self, batch: Batch | None) -> None:
        """Count a batch as done, and tell."""
        if batch is not None:
            costs = self.costs[batch.first : batch.end]
            self._done += sum(cost > 0 for cost in costs)
            self._bytes_done += self._left(costs)
        if self._observer is not None:
            self._observer(self._done, self._total, self._bytes_done, self._bytes_total)

    @staticmethod
    def _left(costs: Sequence[int]) -> int:
        return sum(cost - 1 for cost in costs if cost)


def _run_stage(executor: Any, batches: Sequence[Batch], hold: _core.MergeHold, tally: _Tally) -> None:
    futures: dict[Any, Batch] = {}
    try:
        futures.update(_submitted(executor, batches))
        for future in _as_done(futures):
            future.result()
            tally.add(futures[future])
    except BaseException as error:
        hold.release()
        for future in futures:
            future.cancel()
        if isinstance(error, cf.BrokenExecutor):
            raise MergeError(f"a worker died ({error}); the same call goes on where this one ended") from error
        raise


def _submitted(executor: Any, batches: Sequence[Batch]) -> Iterator[tuple[Any, Batch]]:
    """Yield each batch with its future; schedulers that can take all at once, as a job array, get them so."""
    if callable(getattr(executor, "map_to_futures", None)):
        yield from zip(executor.map_to_futures(run_batch, list(batches)), batches, strict=True)
        return
    for batch in batches:
        try:
            future = executor.submit(run_batch, batch)
        except cf.BrokenExecutor:
            raise
        except RuntimeError as error:
            raise MergeError(f"the executor takes no work ({error}); the same call with another goes on") from error
        yield future, batch


def _as_done(futures: Iterable[Any]) -> Iterator[Any]:
    """Yield futures as they get done. Those that are not of concurrent.futures are asked now and then."""
    waiting = set(futures)
    while waiting:
        if all(isinstance(future, cf.Future) for future in waiting):
            done = cf.wait(waiting, SECONDS_BETWEEN_LOOKS, cf.FIRST_COMPLETED).done
        else:
            done = {future for future in waiting if future.done()}
            time.sleep(0 if done else SECONDS_BETWEEN_LOOKS)
        waiting -= done
        yield from done
