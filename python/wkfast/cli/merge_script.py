"""``wkfast merge script``: a planned merge as jobs of a scheduler."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

from wkfast._lazy import lazy_import
from wkfast.buckets import any_path
from wkfast.cli.arguments import Option, UsageError
from wkfast.cli.console import tell_text
from wkfast.cli.merge_options import RuleOption, rule_from_anywhere
from wkfast.cli.merge_steps import PlanArgument, read_plan

if TYPE_CHECKING:
    from wkfast.merge import slurm as slurm_jobs
else:
    slurm_jobs = lazy_import("wkfast.merge.slurm")

MEGABYTE = 1_000_000


def script(
    plan_file: PlanArgument,
    *,
    slurm: Annotated[bool, Option("For Slurm: calls of sbatch, in a script for bash.", spelling="--slurm")] = False,
    cpus: Annotated[int, Option("Processors of a task.", least=1)] = 8,
    mem: Annotated[str, Option("Memory of a task.")] = "4G",
    minutes: Annotated[float, Option("How long a task of an array is meant to take.")] = 5,
    rate: Annotated[
        float | None,
        Option("MB that a task gets through in a second, as `status` tells; default: 100 a processor."),
    ] = None,
    most_tasks: Annotated[int, Option("Tasks of an array at most.", least=1)] = 1000,
    at_once: Annotated[int | None, Option("Tasks of an array at once.", least=1)] = None,
    option: Annotated[
        list[str] | None, Option("An option of sbatch for every job, such as --option=--partition=long.")
    ] = None,
    rule: RuleOption = None,
    command: Annotated[str | None, Option("How wkfast is called on a node; default: as it is here.")] = None,
) -> None:
    """Print a script that hands the merge of PLAN_FILE to a scheduler: arrays of tasks, and the commit behind them."""
    if not slurm:
        raise UsageError("say for which scheduler the script is: --slurm")
    jobs = slurm_jobs.SlurmJobs(
        command=command or f"{shlex.quote(sys.executable)} -m wkfast",
        cpus=cpus, memory=mem, minutes=minutes, bytes_per_second=None if rate is None else rate * MEGABYTE,
        most_tasks=most_tasks, at_once=at_once, options=tuple(option or ()),
        rule=rule_from_anywhere(rule),
    )  # fmt: skip
    tell_text(slurm_jobs.slurm_script(read_plan(plan_file, rule), any_path(plan_file, "a plan"), jobs))
