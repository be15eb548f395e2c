"""Batches of tasks as jobs of an executor: handed out, waited for, told of, given up together."""

from __future__ import annotations

import concurrent.futures as cf
import os
import pickle
import textwrap
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from wkfast.errors import ExecutorError
from wkfast.jobs.batches import offered, ranges, worker_count

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from wkfast.progress import Observer

# How often this process looks after its jobs, and a worker after its ticket.
SECONDS_BETWEEN_LOOKS = 0.2
# How long jobs are waited for that have been told to stop.
MOST_SECONDS_TO_SETTLE = 10.0
# Executors quote whole logs.
MOST_LETTERS_OF_AN_EXECUTOR = 400
# Methods that take all jobs at once and make a job array of them: of cluster_tools, of submitit.
FOR_ARRAYS = ("map_to_futures", "map_array")


class Work(Protocol):
    """Tasks that are done in batches. It travels to the workers by pickle, so it is plain data."""

    def run(self, first: int, end: int, threads: int | None) -> Any:
        """Do the tasks from `first` up to `end` and return what is to be known of them, as plain data."""


class ItemWork(Protocol):
    """What is done with items: files, boxes. It is plain data as well."""

    def run(self, items: Sequence[Any], threads: int | None) -> Any:
        """Do it with some of them, in order, and return what is to be known of it, as plain data."""


@dataclass(frozen=True)
class OverItems:
    """Work with items, of which each job carries its own: all in every job would grow with the square of their number.

    Attributes
    ----------
    first
        Number of the first of the items.
    """

    work: ItemWork
    items: tuple[Any, ...]
    first: int = 0

    def part(self, first: int, end: int) -> OverItems:
        """Return the work with some of the items alone, under the numbers that they have among all."""
        return replace(self, items=self.items[first - self.first : end - self.first], first=first)

    def run(self, first: int, end: int, threads: int | None) -> Any:
        """Do the work with some of the items."""
        return self.work.run(self.part(first, end).items, threads)


def over_items(
    executor: Any,
    work: ItemWork,
    items: Sequence[Any],
    costs: Callable[[], Sequence[int]],
    observer: Observer | None = None,
) -> Iterator[Any]:
    """Yield what `work` returns for items, in order: of many at once from jobs of an executor, one by one without any.

    Parameters
    ----------
    costs
        Asked for what each item costs, in bytes, where jobs or an observer need to know.
    observer
        Told of what is done, and may stop it.

    Examples
    --------
    >>> class Total:
    ...     def run(self, items, threads):
    ...         return sum(items)
    >>> list(over_items(None, Total(), [1, 2, 3], lambda: [1, 1, 1]))
    [1, 2, 3]
    """
    if executor is not None:
        yield from run_jobs(executor, OverItems(work, tuple(items)), Tally(costs(), observer))
        return
    tally = None if observer is None else Tally(costs(), observer)
    for number, item in enumerate(items):
        yield work.run((item,), None)
        if tally is not None:
            tally.add(number, number + 1)


@dataclass(frozen=True)
class Batch:
    """One job, as plain data."""

    work: Work
    first: int
    end: int
    threads: int | None


@dataclass(frozen=True)
class Failure:
    """What a job raised, as a result: executors have ways of their own with errors, and lose what they are."""

    error: Exception
    traceback: str


class WorkerTraceback(Exception):  # noqa: N818 - it is the text of one, to be shown as a cause
    """Where an error came from on a worker."""

    def __str__(self) -> str:
        """Return the text as the worker had it."""
        return "\n" + "".join(self.args)


def run_batch(batch: Batch) -> Any:
    """Do the tasks of one job.

    A worker has one thread for it unless ``threads`` or ``WKFAST_THREADS`` says more: its neighbours on the machine are
    workers, too.
    """
    threads = batch.threads
    if threads is None and not os.environ.get("WKFAST_THREADS"):
        threads = 1
    return batch.work.run(batch.first, batch.end, threads)


def try_batch(batch: Batch) -> Any:
    """Do the tasks of one job, and return what was done or a ``Failure``; the function that workers call."""
    try:
        return run_batch(batch)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is raised where the job was wanted
        return Failure(_portable(error), "".join(traceback.format_exception(error)))


def _portable(error: Exception) -> Exception:
    """Return an error that arrives in another process: itself, unless it cannot be pickled."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - what was pickled here
    except Exception:  # noqa: BLE001 - classes of others fail as they like
        return ExecutorError(f"{type(error).__name__}: {error}")
    return error


class Ticket(Protocol):
    """What a worker looks for."""

    def exists(self) -> bool:
        """Return whether it is there."""


class Watch:
    """Ends a worker's run, as the core's observer, when the process that wanted it has given it up.

    Workers may be on other machines, where no signal reaches them, so they look for a ticket: a file or folder that is
    there as long as the work is wanted; in a bucket, an object.
    """

    def __init__(self, ticket: Ticket, what: str, error: type[Exception] = ExecutorError) -> None:
        self._ticket = ticket
        self._what = what
        self._error = error
        self._looked = time.monotonic()

    def __call__(self, *_progress: int) -> None:
        """Look, now and then."""
        now = time.monotonic()
        if now - self._looked < SECONDS_BETWEEN_LOOKS:
            return
        self._looked = now
        self.look()

    def look(self) -> None:
        """Look now.

        Raises
        ------
        ExecutorError
            The work was given up.
        """
        if not self._ticket.exists():
            raise self._error(f"{self._what} was given up while this job ran")


class Tally:
    """What each task costs and how far all of them are.

    Parameters
    ----------
    work
        Bytes of each task.
    observer
        Told of tasks done and in all, and of bytes done and in all; at once, and after every job.
    open_tasks
        Those that are still to be done; default: all.
    """

    def __init__(
        self, work: Sequence[int], observer: Observer | None = None, open_tasks: Collection[int] | None = None
    ) -> None:
        wanted = range(len(work)) if open_tasks is None else set(open_tasks)
        # A task without a byte is a task all the same.
        self.costs = [(cost + 1) * (task in wanted) for task, cost in enumerate(work)]
        self._observer = observer
        self._total, self._bytes_total = len(work), sum(work)
        self._done, self._bytes_done = self._total - len(wanted), self._bytes_total - self._left(self.costs)
        self.add(0, 0)

    def add(self, first: int, end: int) -> None:
        """Count tasks as done, and tell."""
        costs = self.costs[first:end]
        self._done += sum(cost > 0 for cost in costs)
        self._bytes_done += self._left(costs)
        if self._observer is not None:
            self._observer(self._done, self._total, self._bytes_done, self._bytes_total)

    @staticmethod
    def _left(costs: Sequence[int]) -> int:
        return sum(cost - 1 for cost in costs if cost)


def run_jobs(
    executor: Any,
    work: Work,
    tally: Tally,
    *,
    tasks: tuple[int, int] | None = None,
    threads: int | None = None,
    workers: int | None = None,
    give_up: Callable[[], object] | None = None,
) -> list[Any]:
    """Do every task that `tally` has open as jobs of `executor`, and return what the jobs returned, in order of tasks.

    Parameters
    ----------
    executor
        Anything with the ``submit`` of ``concurrent.futures``.
    tasks
        First task and the one behind the last; default: all.
    threads
        Of each job; default: ``WKFAST_THREADS``, else one.
    workers
        How many jobs at once; default: what the executor tells.
    give_up
        Tells running jobs that they are not wanted any more. It is called if anything goes wrong, and they are waited
        for, ten seconds at most, so that what they write is not in anybody's way.

    Raises
    ------
    ExecutorError
        A worker died, the executor lost a job or takes no work.
    Exception
        What a job raised, with the worker's own traceback as its cause, whatever the executor makes of errors. Jobs
        that wait are cancelled then, as they are on Ctrl-C.

    Examples
    --------
    >>> class Squares:
    ...     def run(self, first, end, threads):
    ...         return [task**2 for task in range(first, end)]
    >>> with cf.ThreadPoolExecutor(2) as executor:
    ...     run_jobs(executor, Squares(), Tally([10**8] * 5))
    [[0], [1], [4], [9], [16]]
    """
    first, end = tasks or (0, len(tally.costs))
    cuts = ranges(tally.costs[first:end], workers or worker_count(executor))
    batches = [_batch(work, first + start, first + stop, threads) for start, stop in cuts]
    futures: dict[Any, int] = {}
    results: dict[int, Any] = {}
    try:
        for future in _submitted(executor, batches):
            futures[future] = len(futures)
        for future in _as_done(futures):
            number = futures[future]
            results[number] = _result(future)
            tally.add(batches[number].first, batches[number].end)
    except BaseException:
        if give_up is not None:
            give_up()
        for future in futures:
            with suppress(Exception):  # some cannot be cancelled, and what went wrong counts
                future.cancel()
        if give_up is not None:
            _settle(futures)
        raise
    return [results[number] for number in range(len(batches))]


def _batch(work: Work, first: int, end: int, threads: int | None) -> Batch:
    return Batch(work.part(first, end) if isinstance(work, OverItems) else work, first, end, threads)


def _submitted(executor: Any, batches: Sequence[Batch]) -> Iterator[Any]:
    """Yield a future for each batch; schedulers that can take all at once, as a job array, get them so."""
    for submit_all in (offered(executor, name) for name in FOR_ARRAYS):
        if callable(submit_all):
            yield from submit_all(try_batch, list(batches))
            return
    for batch in batches:
        try:
            future = executor.submit(try_batch, batch)
        except cf.BrokenExecutor as error:
            raise _death(error) from error
        except RuntimeError as error:
            raise ExecutorError(f"the executor takes no work ({error})") from error
        yield future


def _result(future: Any) -> Any:
    try:
        result = future.result()
    except cf.BrokenExecutor as error:
        raise _death(error) from error
    except Exception as error:
        # Jobs return what they raise: this is of the executor's own.
        told = textwrap.shorten(f"{type(error).__name__}: {error}", MOST_LETTERS_OF_AN_EXECUTOR, placeholder=" …")
        raise ExecutorError(f"the executor lost a job ({told})") from error
    if isinstance(result, Failure):
        raise result.error from WorkerTraceback(result.traceback)
    return result


def _death(error: Exception) -> ExecutorError:
    return ExecutorError(f"a worker died ({error})")


def _as_done(futures: Iterable[Any]) -> Iterator[Any]:
    """Yield futures as they get done. Those that are not of concurrent.futures are asked now and then."""
    waiting = set(futures)
    while waiting:
        if all(isinstance(future, cf.Future) for future in waiting):
            done = cf.wait(waiting, SECONDS_BETWEEN_LOOKS, cf.FIRST_COMPLETED).done
        else:
            done = {future for future in waiting if _is_done(future)}
            time.sleep(0 if done else SECONDS_BETWEEN_LOOKS)
        waiting -= done
        yield from done


def _settle(futures: Iterable[Any]) -> None:
    """Wait for jobs that are running, as long as they tell and it does not take too long."""
    until = time.monotonic() + MOST_SECONDS_TO_SETTLE
    while time.monotonic() < until and not all(_is_done(future) for future in futures):
        time.sleep(SECONDS_BETWEEN_LOOKS / 4)


def _is_done(future: Any) -> bool:
    """Whether the result is there, or has to be waited for because the future does not tell."""
    done = offered(future, "done")
    if done is None:
        return True
    try:
        return bool(done())
    except NotImplementedError:
        return True
