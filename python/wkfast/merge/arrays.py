"""A merge shared among processes that know nothing of each other: the tasks of a job array on one plan file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wkfast.errors import MergeError
from wkfast.merge.resuming import resumable
from wkfast.progress import observed

if TYPE_CHECKING:
    from wkfast._core import MergePlan
    from wkfast.merge.job import MergeJob
    from wkfast.progress import Progress


@dataclass(frozen=True)
class ShareDone:
    """What one task of an array did.

    Attributes
    ----------
    files
        Files that were this task's to write, done before or now.
    left
        Files of the whole merge that nobody has written yet.
    """

    files: int
    left: int


def run_share(
    job: MergeJob,
    task: int = 0,
    tasks: int = 1,
    *,
    stage: int | None = None,
    threads: int | None = None,
    progress: Progress = None,
) -> ShareDone:
    """Do the share `task` of `tasks` of a merge; other processes may do theirs, or the same one, at the same time.

    Mags that are recomputed from finer ones have to wait for those: whichever task finds all finer files written, by
    itself and the others, writes them. So a single array does it all, and none of its tasks waits for another.

    Parameters
    ----------
    task, tasks
        Which share of how many, from 0 on.
    stage
        Only the files of this stage, for arrays that depend on each other.

    Raises
    ------
    MergeError
        There is no such share or stage; the stage needs files of an earlier one that are not written yet; or the plan
        has a rule that was not given.
    VolumeDataError
        A chunk is damaged; the message names file and chunk.
    """
    check_share(task, tasks)
    job.check_rule()
    plan = job.plan
    stages = list(enumerate(plan.stages))
    if stage is not None:
        if stage not in range(len(stages)):
            raise MergeError(f"there is no stage {stage}: the merge has {len(stages)}, counted from 0")
        stages = stages[stage : stage + 1]
    files = 0
    with resumable(), observed(progress, "merging") as observer:
        for number, (first, end) in stages:
            if number > 0 and stage is None:
                if plan.count_open((0, first)) > 0:
                    break
                start, stop = 0, end - first
            else:
                start, stop = plan.share(number, task, tasks)
            plan.run((first + start, first + stop), threads=threads, progress=observer, access="shared")
            files += stop - start
    return ShareDone(files, plan.count_open())


def check_share(task: int, tasks: int) -> None:
    """Make sure that there is such a share.

    Raises
    ------
    MergeError
        There is none.
    """
    if not 0 <= task < tasks:
        raise MergeError(f"there is no task {task} of {tasks}: tasks count from 0 to {tasks - 1}")


def array_sizes(plan: MergePlan, bytes_per_task: float, most: int) -> list[int]:
    """Return how many tasks an array for each stage of a plan has, so that each gets through so many bytes.

    A stage that is less than that needs no array: 0. There are no more tasks than files, nor than `most`.
    """
    sizes = []
    for files, work in plan.stage_work:
        wanted = work / bytes_per_task
        sizes.append(min(math.ceil(wanted), files, most) if wanted > 1 else 0)
    return sizes
