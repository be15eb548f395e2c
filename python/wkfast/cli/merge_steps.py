"""``wkfast merge plan``, ``run``, ``commit`` and ``status``: a merge in steps on a plan file, for job arrays."""

import gzip
import io
import os
import time
import zlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import wkfast as wk
from wkfast._lazy import lazy_import
from wkfast._short import counted
from wkfast.buckets import ObjectPath, any_path
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import after_work, bytes_text, progress_wanted, tell, tell_json
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
    RuleOption,
    TargetArgument,
    WaitOption,
    mapping_of,
    policy_of,
    rule_of,
    tell_done,
    when_free,
)
from wkfast.errors import MergeError, ObjectStoreError
from wkfast.merge.options import MergeOptions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from wkfast import drafts
    from wkfast.merge import arrays
    from wkfast.merge import job as jobs_of_merges
    from wkfast.merge import slurm as slurm_jobs
    from wkfast.merge import status as statuses
else:
    arrays = lazy_import("wkfast.merge.arrays")
    drafts = lazy_import("wkfast.drafts")
    jobs_of_merges = lazy_import("wkfast.merge.job")
    slurm_jobs = lazy_import("wkfast.merge.slurm")
    statuses = lazy_import("wkfast.merge.status")

PlanArgument = Annotated[str, Argument("The plan file, or its address; JSON if its name ends with .json or .json.gz.")]
# Names of plan files that are JSON, as other programs read them; tasks have to read them whole.
_JSON_NAMES = (".json", ".gz")
# JSON, inflated: of ten million files it takes 1.4 GB.
MOST_OF_PLAN = 4 << 30
_PIECE = 1 << 20
# What a compressed file begins with.
_GZIP = b"\x1f\x8b"


def plan(
    plan_file: PlanArgument,
    target: TargetArgument,
    source_annotation: AnnotationArgument,
    dataset_directory: DatasetsArgument,
    *,
    volume_layer_name: LayerOption = None,
    policy: PolicyOption = DEFAULT_POLICY,
    rule: RuleOption = None,
    mags: MagsOption = DEFAULT_MAGS,
    link: LinkOption = DEFAULT_LINK,
    mapping: MappingOption = None,
    missing: MissingOption = DEFAULT_MISSING,
    as_json: JsonOption = False,
) -> None:
    """Decide on a merge and write the decision to PLAN_FILE, and the table of a mapping beside TARGET."""
    options = MergeOptions(
        policy=policy_of(policy, rule), mags=mags, link=link, mapping=mapping_of(mapping), missing=missing
    )
    annotation = wk.Annotation.load(source_annotation)
    job = annotation.plan_merge(target, dataset_directory, volume_layer_name, options=options)
    # in one step: tasks may read it at any time
    _write_plan(any_path(plan_file, "a plan"), _content(job, plan_file))
    with after_work(f"{plan_file} is written"):
        _tell_plan(job, as_json=as_json)


def run(
    plan_file: PlanArgument,
    *,
    task: Annotated[int, Option("Which share to do, from 0 on.")] = 0,
    tasks: Annotated[int, Option("How many shares there are.", least=1)] = 1,
    rule: RuleOption = None,
    stage: Annotated[int | None, Option("Only files of this stage; default: all that can be done.")] = None,
    jobs: Annotated[int | None, Option("Threads; default: one per core.", least=1)] = None,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Do one share of a merge. Shares run side by side, in any order, and again if they were killed."""
    job = read_plan(plan_file, rule)
    arrays.check_share(task, tasks)
    left = 0
    if job.finished() is None:
        shown = progress_wanted(progress)
        left = when_free(
            lambda: arrays.run_share(job, task, tasks, stage=stage, threads=jobs, progress=shown), wait
        ).left
    facts = {"task": task, "tasks": tasks, "files_left": left, "files": job.plan.task_count}
    to_others = f"left to others: {left} of {counted(job.plan.task_count, 'files')}"
    with after_work(f"task {task} of {tasks} is done"):
        if as_json:
            tell_json(facts)
        else:
            tell(f"task {task} of {tasks} is done; {to_others if left else 'every file is there: commit'}")


def commit(
    plan_file: PlanArgument,
    *,
    rule: RuleOption = None,
    finish: Annotated[bool, Option("First write what killed tasks have left.", spelling="--finish")] = False,
    jobs: Annotated[int | None, Option("Threads of --finish; default: one per core.", least=1)] = None,
    verify: Annotated[bool, Option("Compare the result with its inputs.", spelling="--verify")] = False,
    wait: WaitOption = 0,
    as_json: JsonOption = False,
    progress: ProgressOption = None,
) -> None:
    """Make a dataset of what the tasks have written, and print the report."""
    job = read_plan(plan_file, rule)
    report = job.finished()
    if report is None:
        options = MergeOptions(threads=jobs, progress=progress_wanted(progress))
        if finish:
            when_free(lambda: job.run(options), wait)
        verified = job.verify(options) if verify else None
        report = replace(when_free(job.commit, wait), verified=verified)
    with after_work(f"the merge into {job.target} is committed"):
        tell_done(report, as_json=as_json)


def _content(job: "jobs_of_merges.MergeJob", name: str) -> bytes:
    if not name.endswith(_JSON_NAMES):
        return job.to_bytes()
    text = job.to_json().encode()
    return gzip.compress(text, compresslevel=1) if name.endswith(".gz") else text


def _tell_plan(job: "jobs_of_merges.MergeJob", *, as_json: bool) -> None:
    jobs = slurm_jobs.SlurmJobs()
    tasks = max(jobs.arrays(job), default=0)
    if as_json:
        tell_json({**job.preview().to_json(), "tasks_suggested": max(1, tasks)})
        return
    tell_done(job.preview(), as_json=False)
    what = f"{counted(tasks, 'tasks')} of about" if tasks else "one job of less than"
    tell(f"suggested: {what} {jobs.minutes} minutes on {jobs.cpus} processors; `wkfast merge script` writes them")


def status(
    target: Annotated[str, Argument("Target of the merge, or its plan file; or the address of either.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Tell how far a merge is, who is at it and what went wrong; nothing is written."""
    is_plan = any_path(target, "a merge").is_file()
    found = statuses.merge_status(read_plan(target).target if is_plan else target)
    if as_json:
        tell_json(found.to_json())
    else:
        for line in _status_lines(found):
            tell(line)


def _status_lines(found: "statuses.MergeStatus") -> "Iterator[str]":
    got_through = f"{bytes_text(found.bytes_done)} of {bytes_text(found.bytes)}"
    rate, left = found.bytes_per_second, found.seconds_left
    parts = [f"{found.files_done} of {counted(found.files, 'files')}", got_through]
    parts += [f"{bytes_text(int(rate))} a second"] if rate else []
    parts += [f"about {left / 60:.0f} min left"] if left is not None else []
    to_commit = found.files_done == found.files and found.state is statuses.MergeState.STOPPED
    yield f"{found.state.value}: {', '.join(parts)}{'; commit it: wkfast merge commit' if to_commit else ''}"
    now = time.time()
    for worker in found.workers:
        when = "" if worker.last is None else f", the last one {max(0, now - worker.last):.0f} s ago"
        gone = ", gone" if worker.gone else ", stale" if worker.stale else ""
        yield f"  process {worker.process} on {worker.host}: {counted(worker.files, 'files')}{when}{gone}"
    for failure in found.failures:
        yield f"  failed: {failure}"


def _write_plan(plan_file: "Path | ObjectPath", content: bytes) -> None:
    if isinstance(plan_file, ObjectPath):
        plan_file.write(content)
        return
    with drafts.exclusive_draft(plan_file) as draft:
        draft.put(content)


def read_plan(plan_file: str, rule: str | None = None) -> "jobs_of_merges.MergeJob":
    """Return the merge that a plan file holds.

    Raises
    ------
    MergeError
        There is no such file, it is something else, or its rule is another.
    """
    path, given = any_path(plan_file, "a plan"), rule_of(rule)
    # a pipe can be read but once
    is_pipe = isinstance(path, Path) and not os.path.isfile(path)  # noqa: PTH113 - raises nothing, whatever the name
    job = None if is_pipe else jobs_of_merges.MergeJob.open(path, rule=given)
    if job is not None:
        return job
    try:
        text = _text_of(path)
    except FileNotFoundError:
        raise MergeError(f"there is no plan file {plan_file}: write it with `wkfast merge plan`") from None
    except UnicodeDecodeError:
        raise MergeError(f"{plan_file}: not a merge plan; `wkfast merge plan` writes one") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise MergeError(f"{plan_file}: not a merge plan, or damaged ({error})") from error
    except ObjectStoreError:
        raise
    except OSError as error:
        raise MergeError(f"{plan_file}: the plan cannot be read: {error.strerror}") from error
    return jobs_of_merges.MergeJob.from_json(text, name=str(plan_file), rule=given)


def _text_of(plan_file: "Path | ObjectPath") -> str:
    """Return what a plan file holds, inflated if it is compressed, whatever its name says."""
    with _opened(plan_file) as stored:
        is_compressed = stored.read(len(_GZIP)) == _GZIP
        stored.seek(0)
        with gzip.open(stored) if is_compressed else stored as file:
            data = bytearray()
            # in pieces: memory is taken for what is there
            while len(data) <= MOST_OF_PLAN and (piece := file.read(_PIECE)):
                data += piece
    if len(data) > MOST_OF_PLAN:
        raise MergeError(f"{plan_file}: more than {MOST_OF_PLAN:,} bytes are no plan of a merge")
    return data.decode()


def _opened(plan_file: "Path | ObjectPath") -> BinaryIO:
    if not isinstance(plan_file, ObjectPath):
        return plan_file.open("rb")
    content = plan_file.read(MOST_OF_PLAN)
    if content is None:
        raise FileNotFoundError(plan_file)
    return io.BytesIO(content)
