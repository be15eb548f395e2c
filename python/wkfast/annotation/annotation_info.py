"""What a server lists about annotations, and the annotations of a task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wkfast.annotation.annotation import Annotation
from wkfast.annotation.enums import AnnotationState, AnnotationType
from wkfast.client import Client
from wkfast.client.errors import InvalidUrlError, UnexpectedAnswerError
from wkfast.client.urls import is_object_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from wkfast.client.records import AnnotationRecord
    from wkfast.client.records import Team as TeamRecord


@dataclass(frozen=True)
class AnnotationInfo:
    """An annotation in a list of a server.

    Attributes
    ----------
    duration_in_seconds
        Time that was worked on it, as far as the server tells.
    modified
        Milliseconds since the epoch.
    """

    id: str
    owner_id: str | None
    name: str
    description: str
    type: AnnotationType
    state: AnnotationState
    duration_in_seconds: float | None = None
    modified: int | None = None

    @classmethod
    def get_remote_annotations(cls, is_finished: bool | None = False, owner: str | None = None) -> list[AnnotationInfo]:
        """Return the annotations of a user on the current context's server.

        Parameters
        ----------
        is_finished
            Only finished ones, only others, or ``None`` for both.
        owner
            Id of the user; default: the token's owner.

        Raises
        ------
        ClientError
            A ``RuntimeError``: what happened, where, what the server said and what to do.
        """
        client = Client()
        records = client.annotations.readable(is_finished=is_finished, owner_id=owner or client.user().id)
        return [cls._of(record) for record in records]

    @classmethod
    def _of(cls, record: AnnotationRecord) -> AnnotationInfo:
        try:
            kind, state = AnnotationType(record.typ), AnnotationState(record.state or AnnotationState.ACTIVE.value)
        except ValueError as error:
            raise UnexpectedAnswerError(f"annotation {record.id}: {error}") from None
        return cls(
            record.id,
            None if record.owner is None else record.owner.id,
            record.name,
            record.description,
            kind,
            state,
            None if record.tracing_time is None else record.tracing_time / 1000,
            record.modified,
        )

    def download_annotation(self) -> Annotation:
        """Download the annotation, see :meth:`Annotation.download`."""
        return Annotation.download(self.id)


@dataclass(frozen=True)
class User:
    """A user of a server, read only. Administration of users is not part of wkfast.

    Attributes
    ----------
    created, last_activity
        Milliseconds since the epoch, ``None`` where the server does not tell.
    teams
        With ``id`` and ``name`` each.
    """

    user_id: str
    email: str | None
    organization_id: str | None
    first_name: str
    last_name: str
    created: int | None
    last_activity: int | None
    teams: tuple[TeamRecord, ...]
    experiences: Mapping[str, int]
    is_active: bool
    is_admin: bool
    is_dataset_manager: bool

    @classmethod
    def get_current_user(cls) -> User:
        """Return the owner of the current context's token.

        Raises
        ------
        AuthenticationError
            A ``RuntimeError``: there is no token, or the server does not know it.
        """
        found = Client().user()
        return cls(
            found.id, found.email, found.organization, found.first_name, found.last_name, found.created,
            found.last_activity, found.teams, found.experiences, found.is_active, found.is_admin,
            found.is_dataset_manager,
        )  # fmt: skip


@dataclass(frozen=True)
class Task:
    """A task on a server, by its id. Administration of tasks is not part of wkfast."""

    task_id: str

    @classmethod
    def get_by_id(cls, task_id: str) -> Task:
        """Return the task with an id; the server is asked when its annotations are.

        Raises
        ------
        InvalidUrlError
            A ``ValueError``: this cannot be an id.
        """
        if not is_object_id(task_id):
            raise InvalidUrlError(f"the id of a task is 24 hexadecimal digits, not {task_id[:60]!r}")
        return cls(task_id)

    def get_annotation_infos(self) -> list[AnnotationInfo]:
        """Return the annotations that were made for the task.

        Raises
        ------
        NotFoundError
            A ``RuntimeError``: there is no such task, or the token's owner may not see it.
        """
        return [AnnotationInfo._of(record) for record in Client().annotations.of_task(self.task_id)]


@dataclass(frozen=True)
class Project:
    """A project on a server: a heap of tasks. Administration of projects is not part of wkfast.

    Attributes
    ----------
    project_id
        Its id on the server.
    name
        Its name, by which :meth:`get_by_name` finds it.
    """

    project_id: str
    name: str

    @classmethod
    def get_by_name(cls, name: str) -> Project:
        """Return the project of a name.

        Raises
        ------
        NotFoundError
            A ``RuntimeError``: there is no such project, or the token's owner may not see it.
        """
        return cls(Client().annotations.project_id(name), name)

    def get_tasks(self) -> list[Task]:
        """Return the tasks of the project."""
        return [Task(task_id) for task_id in Client().annotations.tasks_of_project(self.project_id)]
