"""Many annotations from a server into a folder: those that are there are kept, those that fail are told at the end."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from wkfast.annotation.bulk_list import Wanted, listed
from wkfast.annotation.bulk_report import AnnotationDownload, DownloadReport
from wkfast.annotation.meta import ANNOTATION_ID, meta_values
from wkfast.buckets import ObjectPath, any_path, size_of
from wkfast.client import Client, current_context, resolve_annotation
from wkfast.client.files import abandoned_parts
from wkfast.client.transfer import checked_kind
from wkfast.client.workers import fetch_all
from wkfast.errors import AnnotationError, ObjectStoreError, WkfastError
from wkfast.progress import observed, throttled
from wkfast.skeleton.annotation_file import AnnotationFile
from wkfast.temporary import owned_temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike
    from pathlib import Path

    from wkfast.client import Context, ResolvedAnnotation
    from wkfast.progress import Observer, Progress

# seconds that an interrupted call waits for its threads to remove what is half-done
_PATIENCE = 0.5


def download_annotations(
    annotations: Iterable[Wanted],
    folder: str | PathLike[str] | ObjectPath,
    *,
    concurrency: int = 4,
    skip_volume_data: bool = False,
    overwrite: bool = False,
    retry_count: int = 5,
    progress: Progress = None,
) -> DownloadReport:
    """Download many annotations into a folder, each as ``{id}.zip`` or ``{id}.nml``, and tell what became of each.

    An annotation whose complete file is there is not asked for again, so a call that was killed goes on where it was
    when it is made again. One that fails does not hold up the others. A file is complete if it has its end, and is the
    annotation's if it does not say that it is another's.

    Parameters
    ----------
    annotations
        Ids and URLs of any form; what lists of a server hold; tasks and projects, which stand for their annotations.
    folder
        Made if it is not there; or the address of one in a bucket, for which each file is a temporary one of this
        machine first. Files of other servers than the current context's are ``{host}-{id}.zip``.
    concurrency
        Downloads at once.
    skip_volume_data
        Leave the voxels on the server; the files are then ``{id}-without-volumes.zip``.
    overwrite
        Download also what is there, in place of it.
    retry_count
        Further attempts after the first, of each download.
    progress
        ``True`` for a bar of annotations and bytes, or what is called with the annotations that are done and all.

    Raises
    ------
    AnnotationError
        An ``AssertionError``: ``concurrency`` is not positive, or ``folder`` is a file.
    AddressError
        ``folder`` is on a server of files, which takes none.
    ObjectStoreError
        An ``OSError``: ``folder`` lies in a bucket that is not there or may not be read. Nothing was downloaded.

    Examples
    --------
    >>> print(download_annotations([], "annotations"))
    0 annotations: 0 downloaded, 0 there already, 0 failed; 0.0 MB came
    """
    if concurrency < 1:
        raise AnnotationError(f"concurrency is a positive number, not {concurrency!r}")
    target = any_path(folder, "the folder of many annotations")
    entries = listed(annotations, concurrency)
    wanted = [it for it in entries if isinstance(it, str)]
    options = {"skip_volume_data": skip_volume_data, "retry_count": retry_count}
    with (
        _folder_here(target) as here,
        observed(progress, "downloading", "annotations", last_line=True) as observer,
    ):
        # bytes are told by the threads that download, so not to functions of the user's
        counter = _Counter(observer, len(wanted), with_bytes=progress is True)
        downloads = _Downloads(current_context(), target, here, overwrite=overwrite, options=options)
        try:
            results = fetch_all(partial(downloads.download, counter), wanted, concurrency=concurrency)
            done = dict(_counted(results, counter))
        except BaseException:
            downloads.stop()
            raise
    return DownloadReport(tuple(done[it] if isinstance(it, str) else it for it in entries))


@contextmanager
def _folder_here(target: Path | ObjectPath) -> Iterator[Path]:
    """Yield the folder of this machine into which files come: `target`, or a temporary one if that lies in a bucket."""
    if isinstance(target, ObjectPath):
        target.require_changes()
        target.require_bucket()
        with owned_temporary_folder("download") as here:
            yield here
        return
    try:
        target.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise AnnotationError(f"{target} is, or lies below, a file: name a folder for the downloads") from None
    except OSError as error:
        raise AnnotationError(f"cannot make the folder {target} for the downloads: {error.strerror}") from error
    yield target


def _counted(
    results: Iterator[tuple[str, AnnotationDownload]], counter: _Counter
) -> Iterator[tuple[str, AnnotationDownload]]:
    for result in results:
        counter.annotation_done()
        yield result


# -- how far it is -----------------------------------------------------------------------------------------------------


class _Counter:
    """Counts annotations and bytes of all threads for one observer."""

    def __init__(self, observer: Observer | None, total: int, *, with_bytes: bool) -> None:
        self._observer = observer
        self._with_bytes = with_bytes
        self._total = total
        self._annotations = 0
        self._bytes: dict[str, int] = {}
        self._lock = threading.Lock()
        self._tell_bytes = throttled(self._tell if with_bytes and observer is not None else None)

    def annotation_done(self) -> None:
        """Take note of an annotation, whatever became of it."""
        self._annotations += 1
        if self._with_bytes:
            with self._lock:
                self._tell()
        elif self._observer is not None:
            self._observer(self._annotations, self._total)

    def bytes_done(self, stem: str, count: int) -> None:
        """Take note of how much of a file has come."""
        with self._lock:
            self._bytes[stem] = count
            self._tell_bytes(0, None)

    def _tell(self, *_: object) -> None:
        if self._observer is not None:
            self._observer(self._annotations, self._total, sum(self._bytes.values()), None)


# -- downloads ---------------------------------------------------------------------------------------------------------


class _Stopped(Exception):  # noqa: N818 (nothing went wrong)
    """The whole was given up."""


class _Downloads:
    """Downloads into one folder, by several threads."""

    def __init__(
        self,
        context: Context,
        folder: Path | ObjectPath,
        here: Path,
        *,
        overwrite: bool,
        options: dict[str, Any],
    ) -> None:
        self._context = context
        self._folder = folder
        self._here = here
        self._overwrite = overwrite
        self._options = options
        self._suffix = "-without-volumes" if options["skip_volume_data"] else ""
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        # of each file that was looked for: one thread at a time, for lists may name an annotation in several ways
        self._turns: dict[str, threading.Lock] = {}
        self._finished: set[str] = set()
        self._under_way: set[str] = set()

    def download(self, counter: _Counter, name: str) -> AnnotationDownload:
        """Download an annotation if it is not there, and tell what became of it."""
        began, annotation_id = time.monotonic(), None
        try:
            found = resolve_annotation(name, context=self._context)
            annotation_id = found.annotation_id
            return self._kept_or_fetched(name, found, counter, began)
        except (WkfastError, OSError, _Stopped) as error:
            reason = str(error) or "stopped"
            seconds = time.monotonic() - began
            return AnnotationDownload(name, "failed", error=reason, annotation_id=annotation_id, seconds=seconds)

    def _kept_or_fetched(
        self, name: str, found: ResolvedAnnotation, counter: _Counter, began: float
    ) -> AnnotationDownload:
        stem = self._stem(found)
        status: Literal["downloaded", "skipped"] = "skipped"
        with self._lock:
            turn = self._turns.setdefault(stem, threading.Lock())
        with turn:
            for part in abandoned_parts(self._here, f"{stem}.zip"):
                part.unlink(missing_ok=True)
            path = self._present(stem, found.annotation_id)
            if path is not None and (not self._overwrite or stem in self._finished):
                title = _title(path)
            else:
                status = "downloaded"
                path, title = self._fetched(found, stem, counter)
                self._finished.add(stem)
        return AnnotationDownload(
            name, status, path, size_of(path),
            annotation_id=found.annotation_id, name=title, seconds=time.monotonic() - began,
        )  # fmt: skip

    def _stem(self, found: ResolvedAnnotation) -> str:
        """Return the beginning of a file's name: nothing that a server says is part of it."""
        # copies of servers have annotations of the same ids
        elsewhere = found.context.url != self._context.url
        host = re.sub(r"[^A-Za-z0-9.-]", "_", urlsplit(found.context.url).netloc) + "-" if elsewhere else ""
        return f"{host}{found.annotation_id}{self._suffix}"

    def _present(self, stem: str, annotation_id: str) -> Path | ObjectPath | None:
        """Return the file of an annotation if it is there, whole, and the annotation's.

        Raises
        ------
        ObjectStoreError
            The bucket does not say: neither is known then, and what would be downloaded could not be put there.
        """
        for suffix in (".zip", ".nml"):
            path = self._folder / f"{stem}{suffix}"
            try:
                # objects are whole or not there
                kept = path if isinstance(path, ObjectPath) else _named(path, checked_kind(path, str(path)))
                if _is_of(kept, annotation_id):
                    return kept
            except ObjectStoreError:
                raise
            except (WkfastError, FileNotFoundError):
                continue  # it is not there, or damaged
        return None

    def _fetched(self, found: ResolvedAnnotation, stem: str, counter: _Counter) -> tuple[Path | ObjectPath, str]:
        with self._lock:
            self._under_way.add(stem)
        path = self._here / f"{stem}.zip"

        def heard(done: int, _total: int | None) -> None:
            self._check()
            counter.bytes_done(stem, done)

        self._check()
        with Client(found.context) as client:
            download = client.annotations.download(found.annotation_id, path, progress=heard, **self._options)
        with self._lock:
            self._under_way.discard(stem)
        return self._put(_named(path, download.kind)), PurePath(download.name).stem

    def _put(self, file: Path) -> Path | ObjectPath:
        """Return where a file lies that has come, in the bucket if that is where it is wanted."""
        if not isinstance(self._folder, ObjectPath):
            return file
        target = self._folder / file.name
        try:
            self._check()
            target.put_file(file)
        finally:
            file.unlink()
        return target

    def _check(self) -> None:
        if self._stopped.is_set():
            raise _Stopped

    def stop(self) -> None:
        """Give all up and leave nothing half-done; a thread that waits for a silent server is not waited for."""
        self._stopped.set()
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and any(self._parts(stem) for stem in list(self._under_way)):
            time.sleep(0.02)
        for part in [part for stem in list(self._under_way) for part in self._parts(stem)]:
            part.unlink(missing_ok=True)

    def _parts(self, stem: str) -> list[Path]:
        return list(self._here.glob(f"{stem}.zip.part-*"))


def _named(path: Path, kind: str) -> Path:
    """Return where a file lies, under the suffix of what it is."""
    return path if path.suffix == f".{kind}" else path.rename(path.with_suffix(f".{kind}"))


def _is_of(path: Path | ObjectPath, annotation_id: str) -> bool:
    """Whether an annotation file is of an annotation: servers write the id into its NML; one without is believed."""
    said = meta_values(AnnotationFile.open(path).beginning()["meta"]).get(ANNOTATION_ID)
    return not said or said.lower() == annotation_id


def _title(path: Path | ObjectPath) -> str | None:
    return AnnotationFile.open(path).annotation_name if path.suffix == ".zip" else None
