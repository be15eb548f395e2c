"""``wkfast merge plan``, ``run`` and ``commit``: a merge in steps on one plan file, for job arrays of any scheduler."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast.cli.console import progress_wanted, tell, tell_json
from wkfast.cli.merge_options import (
    DEFAULT_LINK,
    DEFAULT_MAGS,
    DEFAULT_MISSING,
    DEFAULT_POLICY,
    AnnotationArgument,
    DatasetsArgument,
    JsonOption,
    LayerOption,
    LinkOption,
    MagsOption,
    MappingOption,
    MissingOption,
    PolicyOption,
    ProgressOption,
    TargetArgument,
    mapping_of,
    tell_done,
)
from wkfast.errors import MergeError
from wkfast.merge.options import MergeOptions

if TYPE_CHECKING:
    from wkfast import drafts
    from wkfast.merge import arrays
    from wkfast.merge import job as jobs_of_merges
else:
    arrays = lazy_import("wkfast.merge.arrays")
    drafts = lazy_import("wkfast.drafts")
    jobs_of_merges = lazy_import("wkfast.merge.job")

PlanArgument = Annotated[Path, typer.Argument(help="The plan file.")]


def plan(
    plan_file: PlanArgument,
    target: TargetArgument,
    source_annotation: AnnotationArgument,
    dataset_directory: DatasetsArgument,
    *,
    volume_layer_name: LayerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    mags: MagsOption = DEFAULT_MAGS,
    link: LinkOption = DEFAULT_LINK,
    mapping: MappingOption = None,
    missing: MissingOption = DEFAULT_MISSING,
    as_json: JsonOption = False,
) -> None:
    """Decide on a merge and write the decision to PLAN_FILE, and the table of a mapping beside TARGET."""
    options = MergeOptions(policy=policy, mags=mags, link=link, mapping=mapping_of(mapping), missing=missing)
    annotation = wk.Annotation.load(source_annotation)
    job = annotation.plan_merge(target, dataset_directory, volume_layer_name, options=options)
    # in one step: tasks may read it at any time
    with drafts.exclusive_draft(plan_file) as draft:
        draft.put(job.to_json().encode())
    tell_done(job.preview(), as_json=as_json)


def run(
    plan_file: PlanArgument,
    *,
    task: Annotated[int, typer.Option(help="Which share to do, from 0 on.")] = 0,
    tasks: Annotated[int, typer.Option(min=1, help="How many shares there are.")] = 1,
    stage: Annotated[int | None, typer.Option(help="Only files of this stage; default: all that can be done.")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads; default: one per core.")] = None,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Do one share of a merge. Shares run side by side, in any order, and again if they were killed."""
    job = _read(plan_file)
    left = 0
    if job.finished() is None:
        done = arrays.run_share(job, task, tasks, stage=stage, threads=jobs, progress=progress_wanted(progress))
        left = done.left
    facts = {"task": task, "tasks": tasks, "files_left": left, "files": job.plan.task_count}
    if as_json:
        tell_json(facts)
        return
    rest = f"{left} of {job.plan.task_count} files are left to others" if left else "every file is there: commit"
    tell(f"task {task} of {tasks} is done; {rest}")


def commit(
    plan_file: PlanArgument,
    *,
    finish: Annotated[bool, typer.Option("--finish", help="First write what killed tasks have left.")] = False,
    jobs: Annotated[int | None, typer.Option(min=1, help="Threads of --finish; default: one per core.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Compare the result with its inputs.")] = False,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Make a dataset of what the tasks have written, and print the report."""
    job = _read(plan_file)
    report = job.finished()
    if report is None:
        options = MergeOptions(threads=jobs, progress=progress_wanted(progress))
        if finish:
            job.run(options)
        verified = job.verify(options) if verify else None
        report = replace(job.commit(), verified=verified)
    tell_done(report, as_json=as_json)


def _read(plan_file: Path) -> "jobs_of_merges.MergeJob":
    try:
        text = plan_file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MergeError(f"there is no plan file {plan_file}: write it with `wkfast merge plan`") from None
    except UnicodeDecodeError as error:
        raise MergeError(f"{plan_file}: not a merge plan ({error})") from error
    return jobs_of_merges.MergeJob.from_json(text, name=str(plan_file))
