"""``wkfast merge script``: a planned merge as jobs of a scheduler."""

import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from wkfast._lazy import lazy_import
from wkfast.buckets import any_path
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
    slurm: Annotated[bool, typer.Option("--slurm", help="For Slurm: calls of sbatch, in a script for bash.")] = False,
    cpus: Annotated[int, typer.Option(min=1, help="Processors of a task.")] = 8,
    mem: Annotated[str, typer.Option(help="Memory of a task.")] = "4G",
    minutes: Annotated[float, typer.Option(help="How long a task of an array is meant to take.")] = 5,
    rate: Annotated[
        float | None,
        typer.Option(help="MB that a task gets through in a second, as `status` tells; default: 100 a processor."),
    ] = None,
    most_tasks: Annotated[int, typer.Option(min=1, help="Tasks of an array at most.")] = 1000,
    at_once: Annotated[int | None, typer.Option(min=1, help="Tasks of an array at once.")] = None,
    option: Annotated[
        list[str] | None, typer.Option(help="An option of sbatch for every job, such as --option=--partition=long.")
    ] = None,
    rule: RuleOption = None,
    command: Annotated[str | None, typer.Option(help="How wkfast is called on a node; default: as it is here.")] = None,
) -> None:
    """Print a script that hands the merge of PLAN_FILE to a scheduler: arrays of tasks, and the commit behind them."""
    if not slurm:
        raise typer.BadParameter("say for which scheduler the script is: --slurm", param_hint="script")
    jobs = slurm_jobs.SlurmJobs(
        command=command or f"{shlex.quote(sys.executable)} -m wkfast",
        cpus=cpus, memory=mem, minutes=minutes, bytes_per_second=None if rate is None else rate * MEGABYTE,
        most_tasks=most_tasks, at_once=at_once, options=tuple(option or ()),
        rule=rule_from_anywhere(rule),
    )  # fmt: skip
    tell_text(slurm_jobs.slurm_script(read_plan(plan_file, rule), any_path(plan_file, "a plan"), jobs))
