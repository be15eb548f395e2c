"""Which annotations a list means: ids and URLs stand for themselves, tasks and projects for their annotations."""

from __future__ import annotations

from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

from wkfast.annotation.annotation_info import AnnotationInfo, Project, Task
from wkfast.annotation.bulk_report import AnnotationDownload
from wkfast.client.errors import ClientError
from wkfast.client.workers import fetch_all
from wkfast.errors import AnnotationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Wanted: TypeAlias = str | AnnotationInfo | Task | Project


def listed(annotations: Iterable[Wanted], concurrency: int) -> list[str | AnnotationDownload]:
    """Return the ids and URLs that are meant, in order and once; a task or project that cannot be listed is a failure.

    Raises
    ------
    AnnotationError
        Something else is among them.
    """
    if isinstance(annotations, str):
        raise AnnotationError(f"give ids and URLs in a list: [{annotations[:60]!r}]")
    wanted = [it for one in annotations for it in _without_projects(one)]
    questions = [_question(it) for it in wanted]
    answers = dict(fetch_all(lambda number: questions[number](), range(len(wanted)), concurrency=concurrency))
    return list(dict.fromkeys(it for number in range(len(wanted)) for it in answers[number]))


def _without_projects(wanted: Wanted) -> list[Any]:
    if isinstance(wanted, Project):
        return _attempted(f"project {wanted.name}", wanted.get_tasks)
    if isinstance(wanted, str | AnnotationInfo | Task):
        return [wanted]
    raise AnnotationError(f"{wanted!r} is none of what is taken: ids, URLs, AnnotationInfo, Task, Project")


def _question(wanted: Any) -> Callable[[], list[str | AnnotationDownload]]:
    """Return what tells the ids of an entry, on any thread."""
    if not isinstance(wanted, Task):
        entry = (
            wanted.strip() if isinstance(wanted, str) else wanted.id if isinstance(wanted, AnnotationInfo) else wanted
        )
        return lambda: [entry]
    # threads do not know in which context they were started
    return partial(copy_context().run, _attempted, f"task {wanted.task_id}", lambda: _ids_of(wanted))


def _ids_of(task: Task) -> list[str]:
    return [info.id for info in task.get_annotation_infos()]


def _attempted(what: str, ask: Callable[[], list[Any]]) -> list[Any]:
    try:
        return ask()
    except (ClientError, OSError) as error:
        return [AnnotationDownload(what, "failed", error=str(error))]
