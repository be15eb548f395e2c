"""A planned merge as jobs of Slurm: an array for each stage that is worth one, and the commit behind them."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wkfast.errors import MergeError
from wkfast.merge.arrays import array_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wkfast.buckets import ObjectPath
    from wkfast.merge.job import MergeJob

# What a thread gets through on a file system that it shares with others. Local disks give several times as much: tasks
# are rather shorter than meant than longer.
BYTES_PER_SECOND_AND_THREAD = 100_000_000
# The limit of time behind the estimate: nodes and file systems have slow days.
LIMIT_OVER_ESTIMATE = 4
# How long a job waits for another process that is at work in the target, such as the one it was requeued for.
SECONDS_TO_WAIT = 600

# What `scontrol requeue` is told: of the last task of an array, the number of its job is that of the whole array.
_ARRAY_TASK = "${SLURM_ARRAY_JOB_ID}_$SLURM_ARRAY_TASK_ID"
_JOB_ITSELF = "$SLURM_JOB_ID"
# From 22.05 on, Slurm does not hand a job's processors on to its steps by itself.
_JOB = """\
{name}=$(sbatch --parsable {options} <<'JOB'
#!/bin/bash
export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK
srun {command} || {{
    status=$?
    [ "$status" -eq 75 ] && scontrol requeue "{itself}"
    exit "$status"
}}
JOB
)
echo "{told}"
"""


@dataclass(frozen=True)
class SlurmJobs:
    """What each job of a merge gets, and how much work it is meant to be.

    Attributes
    ----------
    command
        How wkfast is called on a node, as bash reads it.
    cpus, memory
        What ``--cpus-per-task`` and ``--mem`` say.
    minutes
        How long a task of an array is meant to take.
    bytes_per_second
        What a task gets through; default: 100 MB for each processor.
    most_tasks
        Of an array. Slurm allows 1000 unless its ``MaxArraySize`` says otherwise.
    at_once
        Tasks of an array that run side by side; default: as many as there is room for.
    options
        More options of ``sbatch``.
    rule
        What ``--rule`` of every job says, if the merge has a rule; with an absolute path.

    Raises
    ------
    MergeError
        A number is not positive.
    """

    command: str = "wkfast"
    cpus: int = 8
    memory: str = "4G"
    minutes: float = 5
    bytes_per_second: float | None = None
    most_tasks: int = 1000
    at_once: int | None = None
    options: tuple[str, ...] = ()
    rule: str | None = None

    def __post_init__(self) -> None:
        for name in ("cpus", "minutes", "bytes_per_second", "most_tasks", "at_once"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise MergeError(f"{name} is {value!r}, expected a positive number")

    @property
    def rate(self) -> float:
        """Bytes that a task gets through in a second."""
        return self.bytes_per_second or self.cpus * BYTES_PER_SECOND_AND_THREAD

    def arrays(self, job: MergeJob) -> list[int]:
        """Return how many tasks the array of each stage has; 0: it is little enough for the commit to do."""
        return array_sizes(job.plan, self.rate * self.minutes * 60, self.most_tasks)


def slurm_script(job: MergeJob, plan_file: Path | ObjectPath, jobs: SlurmJobs) -> str:
    """Return a script for bash that hands a planned merge to ``sbatch`` and prints the numbers of its jobs.

    Each stage that is worth it is an array behind that of the stage before. The commit comes behind all of them: it
    writes what killed tasks have left and what was not worth an array. A job that is stopped by a signal, or finds
    another process at work, goes back into the queue. Handed in again, the script does what is left.

    Raises
    ------
    MergeError
        The plan has a rule that was not given.

    Examples
    --------
    >>> print(slurm_script(job, Path("merge.plan"), SlurmJobs(cpus=4)))  # doctest: +SKIP
    """
    job.check_rule()
    sizes, plan = jobs.arrays(job), shlex.quote(str(plan_file.absolute()))
    common = " ".join(_common(jobs, _hours(job, jobs, sizes)))
    parts, before = ["\n".join(_head(job, sizes)) + "\n"], ""
    always = f"--wait {SECONDS_TO_WAIT} --progress" + (f" --rule {shlex.quote(jobs.rule)}" if jobs.rule else "")
    for stage, size in enumerate(sizes):
        if size == 0:
            continue
        name = f"stage{stage}"
        options = f"{common} {_array_options(stage, size, jobs)}{before}"
        share = f'--stage {stage} --task "$SLURM_ARRAY_TASK_ID" --tasks {size}'
        command = f"{jobs.command} merge run {plan} {share} {always}"
        told = f"stage {stage}: {size} tasks, job ${name}"
        parts.append(_JOB.format(name=name, options=options, command=command, itself=_ARRAY_TASK, told=told))
        before = f" --dependency=afterany:${name}"
    options = f"{common} --job-name=wkfast-commit --output=wkfast-commit-%j.log{before}"
    command = f"{jobs.command} merge commit {plan} --finish {always}"
    told = "commit: job $commit"
    parts.append(_JOB.format(name="commit", options=options, command=command, itself=_JOB_ITSELF, told=told))
    return "\n".join(parts)


def _head(job: MergeJob, sizes: list[int]) -> Iterator[str]:
    yield "#!/bin/bash"
    shared = f"{sum(sizes)} tasks of arrays, and the commit" if any(sizes) else "one job"
    # as text of Python: a name with a line break in it would end the comment
    yield f"# A merge into {str(job.target)!r}: {job.plan.task_count} files by {shared}."
    yield "# Run it by bash; again, it does what is left."
    yield "set -euo pipefail"


def _common(jobs: SlurmJobs, hours: int) -> Iterator[str]:
    # Of a node of its own, srun would fill every processor with the same command.
    yield "--ntasks=1"
    yield f"--cpus-per-task={jobs.cpus}"
    yield f"--mem={shlex.quote(jobs.memory)}"
    yield f"--time={hours:02}:00:00"
    # Logs of a job that was requeued go on.
    yield from ("--requeue", "--signal=USR1@60", "--open-mode=append")
    yield from map(shlex.quote, jobs.options)


def _array_options(stage: int, size: int, jobs: SlurmJobs) -> str:
    at_once = f"%{jobs.at_once}" if jobs.at_once else ""
    return f"--array=0-{size - 1}{at_once} --job-name=wkfast-stage{stage} --output=wkfast-stage{stage}-%A_%a.log"


def _hours(job: MergeJob, jobs: SlurmJobs, sizes: list[int]) -> int:
    """Return the limit of time of every job: the largest share, or what the commit does alone, and much more."""
    work = [part for _, part in job.plan.stage_work]
    alone = sum(part for part, size in zip(work, sizes, strict=True) if size == 0)
    shares = [part / size for part, size in zip(work, sizes, strict=True) if size]
    return max(1, math.ceil(LIMIT_OVER_ESTIMATE * max([alone, *shares]) / jobs.rate / 3600))
