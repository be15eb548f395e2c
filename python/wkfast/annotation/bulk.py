"""Many annotations from a server into a folder: those that are there are kept, those that fail are told at the end."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from wkfast.addresses import local_path
from wkfast.annotation.annotation_info import AnnotationInfo, Project, Task
from wkfast.client import Client, current_context, resolve_annotation
from wkfast.client.errors import ClientError
from wkfast.client.files import abandoned_parts
from wkfast.client.transfer import checked_kind
from wkfast.client.workers import fetch_all
from wkfast.errors import AnnotationError
from wkfast.progress import observed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike
    from pathlib import Path

    from wkfast.client import Context
    from wkfast.progress import Progress

# seconds that an interrupted process waits for its threads
_PATIENCE = 2.0


@dataclass(frozen=True)
class AnnotationDownload:
    """What became of one annotation.

    Attributes
    ----------
    annotation
        The id or URL that was given.
    status
        ``downloaded``, ``present`` if a complete file was there already, or ``failed``.
    path
        The file; ``None`` if it failed.
    size
        Bytes of the file.
    error
        Why it failed.
    """

    annotation: str
    status: Literal["downloaded", "present", "failed"]
    path: Path | None = None
    size: int = 0
    error: str | None = None


@dataclass(frozen=True)
class DownloadReport:
    """What became of many annotations, in the order in which they were given."""

    downloads: tuple[AnnotationDownload, ...]

    @property
    def failed(self) -> tuple[AnnotationDownload, ...]:
        """Those that did not come."""
        return tuple(download for download in self.downloads if download.status == "failed")

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files that are there now."""
        return tuple(download.path for download in self.downloads if download.path is not None)

    def to_json(self) -> str:
        """Return the report as JSON, for scripts."""
        return json.dumps([{**asdict(it), "path": it.path and str(it.path)} for it in self.downloads])

    def __str__(self) -> str:
        counts = {status: [it for it in self.downloads if it.status == status] for status in _WORDS}
        megabytes = sum(it.size for it in counts["downloaded"]) / 1e6
        told = [f"{len(counts[status])} {words}" for status, words in _WORDS.items()]
        first = f"{len(self.downloads)} annotations: {', '.join(told)}; {megabytes:.1f} MB came"
        return "\n".join([first, *(f"failed: {it.annotation}: {it.error}" for it in self.failed)])


_WORDS = {"downloaded": "downloaded", "present": "there already", "failed": "failed"}


def download_annotations(
    annotations: Iterable[str | AnnotationInfo | Task | Project],
    folder: str | PathLike[str],
    *,
    concurrency: int = 4,
    skip_volume_data: bool = False,
    retry_count: int = 5,
    progress: Progress = None,
) -> DownloadReport:
    """Download many annotations into a folder, each as ``{id}.zip`` or ``{id}.nml``, and tell what became of each.

    An annotation whose complete file is there is not asked for again, so a call that was killed goes on where it was
    when it is made again. One that fails does not hold up the others.

    Parameters
    ----------
    annotations
        Ids and URLs of any form; what lists of a server hold; tasks and projects, which stand for their annotations.
    folder
        Made if it is not there.
    concurrency
        Downloads at once.
    skip_volume_data
        Leave the voxels on the server; the files are then ``{id}-without-volumes.zip``.
    retry_count
        Further attempts after the first, of each download.
    progress
        ``True`` for a bar, or what is called with the annotations that are done and all of them.

    Raises
    ------
    AnnotationError
        ``concurrency`` is not positive.
    ClientError
        A ``RuntimeError``: the annotations of a task or project could not be listed.

    Examples
    --------
    >>> print(download_annotations([], "annotations"))
    0 annotations: 0 downloaded, 0 there already, 0 failed; 0.0 MB came
    """
    if concurrency < 1:
        raise AnnotationError(f"concurrency is a positive number, not {concurrency!r}")
    wanted = list(dict.fromkeys(name.strip() for it in annotations for name in _names(it)))
    target = local_path(folder, "what is downloaded")
    target.mkdir(parents=True, exist_ok=True)
    downloads = _Downloads(current_context(), target, skip_volume_data=skip_volume_data, retry_count=retry_count)
    done: dict[str, AnnotationDownload] = {}
    with observed(progress, "downloading", "annotations", last_line=True) as observer:
        try:
            for name, download in fetch_all(downloads.download, wanted, concurrency=concurrency):
                done[name] = download
                if observer is not None:
                    observer(len(done), len(wanted))
        except BaseException:
            downloads.stop()
            raise
    return DownloadReport(tuple(done[name] for name in wanted))


def _names(annotation: str | AnnotationInfo | Task | Project) -> Iterator[str]:
    if isinstance(annotation, str):
        yield annotation
    elif isinstance(annotation, AnnotationInfo):
        yield annotation.id
    elif isinstance(annotation, Task):
        yield from (info.id for info in annotation.get_annotation_infos())
    else:
        for task in annotation.get_tasks():
            yield from _names(task)


class _Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """The whole was given up."""


class _Downloads:
    """Downloads into one folder, by several threads."""

    def __init__(self, context: Context, folder: Path, *, skip_volume_data: bool, retry_count: int) -> None:
        self._context = context
        self._folder = folder
        self._options: dict[str, Any] = {"skip_volume_data": skip_volume_data, "retry_count": retry_count}
        self._suffix = "-without-volumes" if skip_volume_data else ""
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._under_way: set[str] = set()

    def download(self, name: str) -> AnnotationDownload:
        """Download an annotation if it is not there, and tell what became of it."""
        try:
            found = resolve_annotation(name, context=self._context)
            stem = f"{found.annotation_id}{self._suffix}"
            path = self._present(stem)
            if path is not None:
                return AnnotationDownload(name, "present", path, path.stat().st_size)
            path = self._fetched(found.context, found.annotation_id, stem)
            return AnnotationDownload(name, "downloaded", path, path.stat().st_size)
        except (ClientError, OSError, _Stopped) as error:
            return AnnotationDownload(name, "failed", error=str(error) or type(error).__name__)

    def _present(self, stem: str) -> Path | None:
        """Return the file of an annotation if it is there and whole."""
        for suffix in (".zip", ".nml"):
            path = self._folder / f"{stem}{suffix}"
            with suppress(ClientError, FileNotFoundError):
                return _named(path, checked_kind(path, str(path)))
        return None

    def _fetched(self, context: Context, annotation_id: str, stem: str) -> Path:
        with self._lock:
            self._under_way.add(stem)
        path = self._folder / f"{stem}.zip"
        for part in abandoned_parts(self._folder, path.name):
            part.unlink(missing_ok=True)
        with Client(context) as client:
            download = client.annotations.download(annotation_id, path, progress=self._check, **self._options)
        with self._lock:
            self._under_way.discard(stem)
        return _named(path, download.kind)

    def _check(self, _done: int, _total: int | None) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def stop(self) -> None:
        """Give all up and leave nothing half-done; a thread that waits for a silent server is not waited for."""
        self._stopped.set()
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and any(self._parts(stem) for stem in self._under_way):
            time.sleep(0.02)
        for part in [part for stem in self._under_way for part in self._parts(stem)]:
            part.unlink(missing_ok=True)

    def _parts(self, stem: str) -> list[Path]:
        return list(self._folder.glob(f"{stem}.zip.part-*"))


def _named(path: Path, kind: str) -> Path:
    """Return where a file lies, under the suffix of what it is."""
    return path if path.suffix == f".{kind}" else path.rename(path.with_suffix(f".{kind}"))
