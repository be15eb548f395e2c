"""Plans of merges on other people's workers: what a job of the executor gets, and who holds the target for all."""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import core_folder
from wkfast.errors import ExecutorError, MergeError
from wkfast.jobs import Tally, Watch, run_jobs

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.buckets import ObjectPath
    from wkfast.progress import Observer

# What errors say of merges: nothing that was done is lost.
GOES_ON = "; the same call goes on where this one ended"


@dataclass(frozen=True)
class MergeWork:
    """Tasks of a plan, as jobs get them: the plan lies in the target, the ticket there says that they are wanted."""

    plan_file: Path | ObjectPath
    ticket: Path | ObjectPath
    verify: bool = False
    rule: bytes | None = None

    def run(self, first: int, end: int, threads: int | None) -> dict[str, Any]:
        """Do tasks, or compare what they wrote with what it was made of, and return what was done.

        Raises
        ------
        VolumeDataError
            A chunk is damaged; the message names file and chunk.
        MergeError
            The merge was given up while this job ran.
        """
        plan = _plan(self.plan_file, self.ticket, self.rule)
        watch = Watch(self.ticket, "the merge", MergeError)
        if self.verify:
            return plan.verify((first, end), threads=threads, progress=watch)
        return plan.run((first, end), threads=threads, progress=watch, access="coordinated")


@lru_cache(maxsize=2)
def _plan(
    plan_file: Path | ObjectPath,
    ticket: Path | ObjectPath,  # noqa: ARG001 - a new ticket may mean a new plan in the file
    rule: bytes | None,
) -> _core.MergePlan:
    found = _core.MergePlan.open(core_folder(plan_file.parent), plan_file.name)
    if found is None:
        raise MergeError(f"there is no plan at {plan_file} any more: the merge was given up, or is done")
    plan, _ = found
    if rule is not None:
        pickle.loads(rule).give(plan, quiet=True)  # noqa: S301 - from the call that hands out the jobs
    return plan


def run_on_workers(
    plan: _core.MergePlan,
    target: Path | ObjectPath,
    executor: Any,
    *,
    threads: int | None = None,
    workers: int | None = None,
    observer: Observer | None = None,
    rule: bytes | None = None,
) -> None:
    """Run every task of `plan` that is open as jobs of `executor`, stage after stage; see `wkfast.jobs.run_jobs`.

    On an error or Ctrl-C, jobs that wait are cancelled and those that run are told to stop; what is done stays done.

    Raises
    ------
    VolumeDataError
        A chunk is damaged.
    MergeError
        A worker died, or the executor takes no work. A ``TargetNotEmptyError``: another process is at the target.
    """
    left = plan.open_tasks()
    tally = Tally(plan.work_bytes(), observer, left)
    if left:
        _run(plan, target, executor, tally, plan.stages, threads, workers, verify=False, rule=rule)


def verify_on_workers(
    plan: _core.MergePlan,
    target: Path | ObjectPath,
    executor: Any,
    *,
    threads: int | None = None,
    workers: int | None = None,
    observer: Observer | None = None,
    rule: bytes | None = None,
) -> dict[str, Any]:
    """Compare the result of `plan`, which is not committed yet, as jobs of `executor`; return what was compared.

    Raises
    ------
    VolumeDataError
        There is a difference.
    MergeError
        As in :func:`run_on_workers`.
    """
    started = time.perf_counter()
    tally = Tally(plan.work_bytes(), observer)
    compared = _run(plan, target, executor, tally, [(0, plan.task_count)], threads, workers, verify=True, rule=rule)
    sums = {name: sum(part[name] for part in compared) for name in ("shards", "shards_equal", "chunks", "bytes_read")}
    return {**sums, "seconds": time.perf_counter() - started}


def _run(
    plan: _core.MergePlan,
    target: Path | ObjectPath,
    executor: Any,
    tally: Tally,
    stages: list[tuple[int, int]],
    threads: int | None,
    workers: int | None,
    *,
    verify: bool,
    rule: bytes | None,
) -> list[dict[str, Any]]:
    done: list[dict[str, Any]] = []
    try:
        with plan.hold() as hold:
            work = MergeWork(target / hold.plan_file, target / hold.ticket, verify, rule)
            for tasks in stages:
                done += run_jobs(executor, work, tally, tasks=tasks, threads=threads, workers=workers)
    except ExecutorError as error:
        raise MergeError(f"{error}{GOES_ON}") from error
    return done
