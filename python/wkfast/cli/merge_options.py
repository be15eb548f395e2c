"""Options that the commands of merges share, and how they end."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wkfast.cli.console import output, progress_wanted
from wkfast.cli.executors import Strategy, executor_for, parse_job_resources
from wkfast.cli.report import preview_table, report_table
from wkfast.merge.merge import merge
from wkfast.merge.rules import MergeRun

if TYPE_CHECKING:
    from wkfast.merge import MergeReport
    from wkfast.merge.merge import MergeJob


class Policy(StrEnum):
    """Which voxels win."""

    CHUNK = "chunk"
    NONZERO = "nonzero"


class Mags(StrEnum):
    """Which mags the result has."""

    ALL = "all"
    FINEST = "finest"


class Link(StrEnum):
    """How untouched files get into the result."""

    COPY = "copy"
    HARD = "hard"


TargetArgument = Annotated[Path, typer.Argument(help="Dataset to create.")]
AnnotationArgument = Annotated[Path, typer.Argument(help="The annotation zip.")]
DatasetsArgument = Annotated[Path, typer.Argument(help="Folder that holds the annotation's dataset.")]
LayerOption = Annotated[str | None, typer.Option(help="Which volume layer, if there are several.")]
PolicyOption = Annotated[
    Policy, typer.Option(help="chunk: painted chunks replace the fallback's, zeros included; nonzero: labels only.")
]
MagsOption = Annotated[Mags, typer.Option(help="all mags that both have, or the finest alone.")]
LinkOption = Annotated[Link, typer.Option(help="hard: files nothing was painted over are shared, not copied.")]
JobsOption = Annotated[int | None, typer.Option(min=1, help="Threads, processes or jobs; default: one per core.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads of each process or job; default: one.")]
StrategyOption = Annotated[Strategy, typer.Option(help="Who does the work.")]
ResourcesOption = Annotated[
    str | None, typer.Option(help='What a job of a scheduler gets, as JSON: {"mem": "4G", "cpus-per-task": "4"}.')
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Read the result back and compare it with its inputs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
ProgressOption = Annotated[
    bool | None,
    typer.Option(help="Default: a bar in a terminal, nothing in a log; if asked for there, a line a minute."),
]


def carry_out(
    job: MergeJob,
    *,
    jobs: int | None,
    threads: int | None,
    strategy: Strategy,
    job_resources: str | None,
    dry_run: bool,
    verify: bool,
    progress: bool | None,
    as_json: bool,
) -> None:
    """Run a merge as the options say, commit it and print the report; or print what it would do."""
    if dry_run:
        show_preview(job, as_json=as_json)
        return
    resources = parse_job_resources(job_resources)
    here = {Strategy.THREADS: threads or jobs, Strategy.SEQUENTIAL: 1}
    with executor_for(strategy, jobs, resources) as executor:
        run = MergeRun(
            executor, here.get(strategy, threads), jobs=jobs, verify=verify, progress=progress_wanted(progress)
        )
        report = merge(job, run)
    show_report(report, as_json=as_json)


def show_report(report: MergeReport, *, as_json: bool) -> None:
    """Print a report as a table for people or as JSON for scripts."""
    if as_json:
        print_json(report.to_json())
    else:
        output.print(report_table(report))


def show_preview(job: MergeJob, *, as_json: bool) -> None:
    """Print what a merge would do."""
    preview = job.preview()
    if as_json:
        print_json(preview.to_json())
    else:
        output.print(preview_table(preview))


def print_json(facts: dict[str, Any]) -> None:
    """Print plain data."""
    output.print_json(json.dumps(facts))
