"""Options that the commands of merges share, and how they end."""

from __future__ import annotations

import runpy
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast.addresses import local_path
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import after_work, complain, show, tell_json
from wkfast.cli.executors import Strategy, executor_for, parse_job_resources
from wkfast.dataset.missing_labels import Missing
from wkfast.errors import MergeError, TargetBusyError
from wkfast.merge.options import Link, Mags, MergeOptions, Policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from wkfast.cli import report
    from wkfast.merge import MergePreview, MergeReport
    from wkfast.merge.job import MergeJob
    from wkfast.merge.label_rule import RuleSource
else:
    report = lazy_import("wkfast.cli.report")


# Rules of `wkfast.rules` that need no ids.
READY_RULES = ("newer", "only_background", "max_votes")
SECONDS_BETWEEN_TRIES = 2.0
T = TypeVar("T")

# What a merge does if it is told nothing.
DEFAULT_POLICY, DEFAULT_MAGS, DEFAULT_LINK, DEFAULT_MISSING = (
    Policy(str(MergeOptions.policy)),
    Mags(MergeOptions.mags),
    Link(MergeOptions.link),
    Missing(MergeOptions.missing),
)

TargetArgument = Annotated[str, Argument("Dataset to create: a folder, or an address such as s3://…")]
AnnotationArgument = Annotated[str, Argument("The annotation zip, or its address.")]
DatasetsArgument = Annotated[
    str, Argument("Folder that holds the annotation's dataset, or its address: s3://…, https://…")
]
LayerOption = Annotated[str | None, Option("Which volume layer, if there are several.")]
PolicyOption = Annotated[
    Policy, Option("chunk: annotated chunks replace the fallback's, zeros included; nonzero: labels only.")
]
MagsOption = Annotated[Mags, Option("all mags that both have, or the finest alone.")]
LinkOption = Annotated[Link, Option("hard: files that no annotation touches are shared, not copied.")]
MappingOption = Annotated[
    str | None,
    Option(
        "What the fallback's labels become: an agglomerate file, or an annotation (.nml, .zip), or its address, as in "
        "merger mode."
    ),
]
RuleOption = Annotated[
    str | None,
    Option("Instead of a policy, FILE.py:NAME of a function of two labels; or newer, only_background, max_votes."),
]
MissingOption = Annotated[Missing, Option("What labels become that the mapping does not name.")]
JobsOption = Annotated[int | None, Option("Threads, processes or jobs; default: one per core.", least=1)]
ThreadsOption = Annotated[int | None, Option("Threads of each process or job; default: one.", least=1)]
StrategyOption = Annotated[Strategy, Option("Who does the work.")]
ResourcesOption = Annotated[
    str | None, Option('What a job of a scheduler gets, as JSON: {"mem": "4G", "cpus-per-task": "4"}.')
]
DryRunOption = Annotated[bool, Option("Say what would be done; write nothing.", spelling="--dry-run")]
VerifyOption = Annotated[bool, Option("Read the result back and compare it with its inputs.", spelling="--verify")]
JsonOption = Annotated[bool, Option("Print the report as JSON.", spelling="--json")]
WaitOption = Annotated[float, Option("Seconds to wait for another process that is at work in the target.", least=0)]
ProgressOption = Annotated[
    bool | None,
    Option("Default: a bar in a terminal, nothing in a log; if asked for there, a line a minute."),
]


def policy_of(policy: Policy, rule: str | None) -> Any:
    """Return what a merge takes as policy: a word, a ready rule, or the function that FILE.py:NAME says.

    Raises
    ------
    MergeError
        There is no such file or function.
    """
    if rule is None:
        return policy
    if rule in READY_RULES:
        return getattr(wk.rules, rule)
    file, colon, name = rule.rpartition(":")
    if not colon:
        raise MergeError(f"{rule} is no rule: expected FILE.py:NAME, or one of {', '.join(READY_RULES)}")
    if not Path(file).is_file():
        raise MergeError(f"{rule}: there is no file {file}")
    try:
        names = runpy.run_path(file, run_name="wkfast_rules")
    except Exception as error:
        raise MergeError(f"{file} cannot be run: {type(error).__name__}: {error}") from error
    if name not in names:
        raise MergeError(f"{file} has no function {name}")
    return names[name]


def rule_of(rule: str | None) -> RuleSource | None:
    """Return the rule of a plan file."""
    return MergeOptions(policy=policy_of(DEFAULT_POLICY, rule)).rule


def rule_from_anywhere(rule: str | None) -> str | None:
    """Return what `--rule` says as it is understood in any folder."""
    if rule is None or rule in READY_RULES:
        return rule
    file, _, name = rule.rpartition(":")
    return f"{Path(file).absolute()}:{name}"


def mapping_of(file: str | None) -> Any:
    """Return what a merge takes as mapping: an annotation, or the path of what is taken for an agglomerate file."""
    if file is None:
        return None
    is_annotation = PurePath(file).suffix in {".nml", ".zip"}
    return wk.Annotation.load(file) if is_annotation else local_path(file, "an agglomerate file")


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
    with nullcontext() if options.dry_run else after_work(f"the merge into {job.target} is committed"):
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
