"""Options that the commands of merges share, and how they end."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast.cli.console import complain, show, tell_json
from wkfast.cli.executors import Strategy, executor_for, parse_job_resources
from wkfast.dataset.missing_labels import Missing
from wkfast.errors import TargetBusyError
from wkfast.merge.options import Link, Mags, MergeOptions, Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from wkfast.cli import report
    from wkfast.merge import MergePreview, MergeReport
    from wkfast.merge.job import MergeJob
else:
    report = lazy_import("wkfast.cli.report")


SECONDS_BETWEEN_TRIES = 2.0
T = TypeVar("T")

# What a merge does if it is told nothing.
DEFAULT_POLICY, DEFAULT_MAGS, DEFAULT_LINK, DEFAULT_MISSING = (
    Policy(MergeOptions.policy),
    Mags(MergeOptions.mags),
    Link(MergeOptions.link),
    Missing(MergeOptions.missing),
)

TargetArgument = Annotated[Path, typer.Argument(help="Dataset to create.")]
AnnotationArgument = Annotated[Path, typer.Argument(help="The annotation zip.")]
DatasetsArgument = Annotated[
    str, typer.Argument(help="Folder that holds the annotation's dataset, or its address: s3://…, https://…")
]
LayerOption = Annotated[str | None, typer.Option(help="Which volume layer, if there are several.")]
PolicyOption = Annotated[
    Policy, typer.Option(help="chunk: annotated chunks replace the fallback's, zeros included; nonzero: labels only.")
]
MagsOption = Annotated[Mags, typer.Option(help="all mags that both have, or the finest alone.")]
LinkOption = Annotated[Link, typer.Option(help="hard: files that no annotation touches are shared, not copied.")]
MappingOption = Annotated[
    Path | None,
    typer.Option(
        help="What the fallback's labels become: an agglomerate file, or an annotation (.nml, .zip) as in merger mode."
    ),
]
MissingOption = Annotated[Missing, typer.Option(help="What labels become that the mapping does not name.")]
JobsOption = Annotated[int | None, typer.Option(min=1, help="Threads, processes or jobs; default: one per core.")]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="Threads of each process or job; default: one.")]
StrategyOption = Annotated[Strategy, typer.Option(help="Who does the work.")]
ResourcesOption = Annotated[
    str | None, typer.Option(help='What a job of a scheduler gets, as JSON: {"mem": "4G", "cpus-per-task": "4"}.')
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; write nothing.")]
VerifyOption = Annotated[bool, typer.Option("--verify", help="Read the result back and compare it with its inputs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the report as JSON.")]
WaitOption = Annotated[
    float, typer.Option(min=0, help="Seconds to wait for another process that is at work in the target.")
]
ProgressOption = Annotated[
    bool | None,
    typer.Option(help="Default: a bar in a terminal, nothing in a log; if asked for there, a line a minute."),
]


def mapping_of(file: Path | None) -> Any:
    """Return what a merge takes as mapping: an annotation, or the path of what is taken for an agglomerate file."""
    return wk.Annotation.load(file) if file is not None and file.suffix in {".nml", ".zip"} else file


def carry_out(
    job: MergeJob,
    options: MergeOptions,
    strategy: Strategy,
    job_resources: str | None,
    *,
    wait: float = 0,
    as_json: bool,
) -> None:
    """Run a merge as the options say, commit it and print the report; or print what it would do."""
    resources = parse_job_resources(job_resources)
    here = {Strategy.THREADS: options.threads or options.jobs, Strategy.SEQUENTIAL: 1}
    if options.dry_run:
        strategy = Strategy.THREADS
    with executor_for(strategy, options.jobs, resources) as executor:
        placed = replace(options, executor=executor, threads=here.get(strategy, options.threads))
        done = when_free(lambda: job.merge(placed), wait)
    tell_done(done, as_json=as_json)


def when_free(act: Callable[[], T], seconds: float) -> T:
    """Return what `act` does, once nobody else is at work in the target; tell whom it waits for.

    Raises
    ------
    TargetBusyError
        Somebody still is after so many seconds.
    """
    until, told = time.monotonic() + seconds, False
    while True:
        try:
            return act()
        except TargetBusyError as error:
            left = until - time.monotonic()
            if left <= 0:
                raise
            if not told:
                complain(f"waiting up to {seconds:.0f} s: {error}", "yellow")
                told = True
            time.sleep(min(left, SECONDS_BETWEEN_TRIES))


def tell_done(done: MergeReport | MergePreview, *, as_json: bool) -> None:
    """Print what was done, or would be, as a table for people or as JSON for scripts."""
    if as_json:
        tell_json(done.to_json())
    else:
        show(report.table_of(done))
