"""Routes about annotations: info, list, download, upload, edit."""

import itertools
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast.client.call import Call
from wkfast.client.errors import InvalidUrlError, PermissionDeniedError, UnexpectedAnswerError
from wkfast.client.failures import labelled_messages, may_repeat_creating
from wkfast.client.fields import Fields, parse_json
from wkfast.client.files import safe_name
from wkfast.client.records import AnnotationRecord, UploadResult
from wkfast.client.routes import Routes
from wkfast.client.transfer import Download, Kind, Source, download_to_path, upload_form
from wkfast.client.urls import is_object_id, sendable, shown
from wkfast.progress import observed, throttled

if TYPE_CHECKING:
    from wkfast.progress import Progress


_PAGE = 1000


class Annotations:
    """The annotations of a server, as ``client.annotations``."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def info(self, annotation_id: str) -> AnnotationRecord:
        """Return what the server knows about an annotation."""
        now = str(int(self._routes.session.clock.time() * 1000))
        url = self._url(annotation_id, "info")
        return AnnotationRecord.of(self._routes.get_fields(url, {"timestamp": now}))

    def readable(self, *, is_finished: bool | None = None, owner_id: str | None = None) -> tuple[AnnotationRecord, ...]:
        """Return the annotations that the token may read, of one owner if wanted; the server sends them all at once."""
        query = {} if is_finished is None else {"isFinished": _lower(is_finished)}
        entries = self._routes.get_list(self._routes.api_url("annotations", "readable"), query)
        records = map(AnnotationRecord.of, entries)
        return tuple(
            record
            for record in records
            if owner_id is None or (record.owner is not None and record.owner.id == owner_id)
        )

    def of_task(self, task_id: str) -> tuple[AnnotationRecord, ...]:
        """Return the annotations of a task."""
        url = self._routes.api_url("tasks", task_id, "annotations")
        return tuple(map(AnnotationRecord.of, self._routes.get_list(url)))

    def tasks_of_project(self, project_id: str) -> tuple[str, ...]:
        """Return the ids of the tasks of a project, asked for page by page."""
        url, tasks = self._routes.api_url("projects", project_id, "tasks"), dict[str, None]()
        for page in itertools.count():
            entries = self._routes.get_list(url, {"limit": str(_PAGE), "pageNumber": str(page)})
            before = len(tasks)
            tasks.update((entry.text("id"), None) for entry in entries)
            # a server that knows no pages sends all of them each time
            if len(entries) < _PAGE or len(tasks) == before:
                return tuple(tasks)
        return ()

    def project_id(self, name: str) -> str:
        """Return the id of the project of a name."""
        return self._routes.get_fields(self._routes.api_url("projects", "byName", name)).text("id")

    def download(
        self,
        annotation_id: str,
        target: Path | str,
        *,
        skip_volume_data: bool = False,
        retry_count: int | None = None,
        overwrite: bool = True,
        progress: "Progress" = None,
        max_bytes: int | None = None,
        durable: bool = True,
        kind: Kind | None = None,
    ) -> Download:
        """Download an annotation to a path, or into a folder under the server's name for it.

        The file streams to disk and appears whole or not at all; memory stays flat for any size. A broken download
        starts again from its first byte.

        Parameters
        ----------
        target
            File to create or replace, or a folder. A file that the server's choice of name would replace is kept.
        skip_volume_data
            Ask for the NML alone; still a zip if there are volume layers.
        retry_count
            Further attempts after the first, ``None`` for 5.
        progress
            ``True`` for a bar, or what is called with ``(bytes done, total or None)``, see ``wkfast.progress``.
        max_bytes
            Refuse more than this.
        durable
            Whether the file must survive a loss of power as soon as it is there; a temporary one need not.
        kind
            ``"nml"`` or ``"zip"``: refuse the other one (``UnexpectedAnswerError``).

        Raises
        ------
        IncompleteDownloadError
            No attempt brought the whole file.
        FileExistsError
            See ``target``; also if ``overwrite`` is false.
        """
        call = self._download_call(annotation_id, skip_volume_data=skip_volume_data, retry_count=retry_count)
        with observed(progress, "downloading", "bytes", last_line=True) as observer:
            return download_to_path(
                self._routes.session, call, Path(target),
                default_name=f"annotation_{annotation_id}", overwrite=overwrite, progress=observer,
                max_bytes=max_bytes, durable=durable, kind=kind,
            )  # fmt: skip

    def _download_call(self, annotation_id: str, *, skip_volume_data: bool, retry_count: int | None) -> Call:
        # servers that do not know the format parameter ignore it and send WKW
        query = {"skipVolumeData": _lower(skip_volume_data), "volumeDataZipFormat": "zarr3"}
        call = self._routes.call("GET", self._url(annotation_id, "download"), query)
        return replace(call, slow_start=True, retries=retry_count)

    def upload(
        self,
        source: Source,
        *,
        name: str | None = None,
        create_group_for_each_file: bool = False,
        progress: "Progress" = None,
    ) -> UploadResult:
        """Upload a zip (or an NML) as a new annotation, streamed from disk.

        The server names the annotation like the file, so ``name`` is the annotation's name; without it, that of the
        path. The upload is repeated only where it certainly made no annotation: no connection, 429, 503.

        Raises
        ------
        OSError
            The file cannot be read.
        UnexpectedAnswerError
            The server tells no id for what it made.
        """
        filename = _upload_name(source, name)
        fields = {"createGroupForEachFile": _lower(create_group_for_each_file)}
        if isinstance(source, Path | str):
            Path(source).stat()
        with observed(progress, "uploading", "bytes", last_line=True) as observer:
            report = throttled(observer, self._routes.session.clock.monotonic)
            call = replace(
                self._routes.call("POST", self._routes.api_url("annotations", "upload")),
                form=partial(upload_form, source, filename, fields, report),
                slow_start=True, may_repeat=may_repeat_creating,
            )  # fmt: skip
            answer = self._routes.session.send(call)
        return self._uploaded(parse_json(answer.body, answer.where), answer.where)

    def _uploaded(self, value: object, where: str) -> UploadResult:
        fields = Fields(value, where)
        messages = tuple(labelled_messages(value))
        if "annotation" not in fields:
            said = "; ".join(text for _, text in messages) or "nothing"
            raise UnexpectedAnswerError(f"{where}: no annotation was made; the server says: {said}")
        annotation = fields.child("annotation")
        annotation_id = annotation.text("id")
        if not is_object_id(annotation_id):
            raise UnexpectedAnswerError(
                f"{where}: the new annotation's id is {annotation_id[:60]!r}, not 24 hex digits"
            )
        url = f"{self._routes.context.url}/annotations/{annotation_id}"
        return UploadResult(annotation_id, annotation.text("typ"), url, messages)

    def edit(self, annotation_id: str, *, name: str | None = None, description: str | None = None) -> None:
        """Give an annotation another name or description; ``""`` clears it, ``None`` leaves it.

        Raises
        ------
        PermissionDeniedError
            The annotation may be changed by its owner only, or not by this user.
        """
        changes = {key: value for key, value in (("name", name), ("description", description)) if value is not None}
        if not changes:
            return
        record = self.info(annotation_id)
        self._check_editable(record)
        # the type comes from the server: a task's annotation is edited under its own type
        url = self._routes.api_url("annotations", record.typ, record.id, "edit")
        self._routes.session.send(self._routes.json_call("PATCH", url, changes))

    def _check_editable(self, record: AnnotationRecord) -> None:
        owner = record.owner.name if record.owner is not None else "unknown"
        where = f"annotation {record.id} at {self._routes.context.url}"
        if record.may_update is False:
            raise PermissionDeniedError(
                f"{where} may not be changed by this user; its owner is {owner}, who can share it for editing"
            )
        if record.is_locked_by_owner:
            raise PermissionDeniedError(f"{where} is locked by its owner, {owner}")

    def _url(self, annotation_id: str, last: str) -> str:
        if not is_object_id(annotation_id):
            raise InvalidUrlError(f"the id of an annotation is 24 hexadecimal digits, not {shown(annotation_id)!r}")
        return self._routes.api_url("annotations", annotation_id, last)


def _lower(value: bool) -> str:
    return "true" if value else "false"


def _upload_name(source: Source, name: str | None) -> str:
    path = source if isinstance(source, Path | str) else getattr(source, "name", None)
    suffix = ".nml" if isinstance(path, Path | str) and str(path).lower().endswith(".nml") else ".zip"
    if name is None:
        return safe_name(Path(path).stem if isinstance(path, Path | str) else None, "annotation", suffix)
    return sendable(name, "the name of an annotation") + suffix
