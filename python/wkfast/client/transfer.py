"""Downloads that stream into a file that is complete or absent, and files that are uploaded."""

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from wkfast import _core
from wkfast.client.call import Call, Incoming
from wkfast.client.errors import (
    AnswerTooLargeError,
    ClientError,
    IncompleteDownloadError,
    NotWebknossosError,
    UnexpectedAnswerError,
)
from wkfast.client.failures import server_messages
from wkfast.client.files import proposed_name, restart, safe_name
from wkfast.client.session import Session
from wkfast.drafts import PartFile
from wkfast.errors import AnnotationZipError
from wkfast.progress import throttled

if TYPE_CHECKING:
    from wkfast.progress import Observer

_BEGINNING = 64 << 10
_BLOCK = 1 << 20
# more than any file has
_WITHOUT_LIMIT = 1 << 62

#: A path, or an open seekable binary file that is sent from its start.
Source = Path | str | BinaryIO

#: What a download is: a bare NML, or a zip of an NML and volume data.
Kind = Literal["nml", "zip"]

_HEAD, _TAIL = 512, 4096
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Received:
    """What came with the bytes of a download. Header names are in lower case."""

    size: int
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Download:
    """A file that has arrived whole.

    Attributes
    ----------
    name
        The server's name for it, made safe, with the suffix of its kind. Without suffix, it is the annotation's name.
    kind
        ``"nml"`` or ``"zip"``.
    size
        In bytes.
    path
        Where it lies.
    """

    name: str
    kind: Kind
    size: int
    path: Path


def download_to_path(
    session: Session,
    call: Call,
    target: Path,
    *,
    default_name: str,
    overwrite: bool = True,
    progress: "Observer | None" = None,
    max_bytes: int | None = None,
    durable: bool = True,
    kind: Kind | None = None,
) -> Download:
    """Download an annotation into ``target``: a path to create or replace, or a folder to put it in.

    The file has its final name only when it is whole and on disk; a failure leaves what was there before.

    Raises
    ------
    UnexpectedAnswerError
        Another kind of file came than `kind`, if that is given.
    FileExistsError
        The file is there and ``overwrite`` is false, or the server chose the name of a file that is there: only a name
        that the caller gave is ever replaced.
    """
    in_folder = target.is_dir()
    folder = target if in_folder else target.parent
    if not in_folder and not overwrite:
        _refuse_existing(target)
    with PartFile(folder, default_name if in_folder else target.name) as part:
        kinds: list[Kind] = []

        def check(file: BinaryIO) -> None:
            file.flush()
            kinds[:] = [checked_kind(part.path, call.where)]

        received = receive(session, call, part.file, check=check, progress=progress, max_bytes=max_bytes)
        proposed = proposed_name(received.headers.get("content-disposition"))
        name = safe_name(proposed, default_name, f".{kinds[0]}")
        path = folder / name if in_folder else target
        if kind not in {None, kinds[0]}:
            raise UnexpectedAnswerError(f"{call.where}: the annotation came as .{kinds[0]}, not as .{kind}: name it so")
        if in_folder or not overwrite:
            _refuse_existing(path)
        part.commit(path, durable=durable)
    return Download(name, kinds[0], received.size, path)


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise FileExistsError(f"{path} is there already; name a target file to replace it, or remove it first")


def receive(
    session: Session,
    call: Call,
    file: BinaryIO,
    *,
    check: Callable[[BinaryIO], None],
    progress: "Observer | None" = None,
    max_bytes: int | None = None,
) -> Received:
    """Write the body of a call into ``file``, from byte 0 again after each broken attempt, until ``check`` passes.

    Broken downloads are not continued: two exports of one annotation differ in their bytes.
    """
    deadline = session.deadline(call)

    def attempt() -> Received:
        restart(file)
        with session.answered(call, deadline) as incoming:
            _refuse_other_content(incoming, call)
            size = _copy(incoming, file, throttled(progress, session.clock.monotonic), max_bytes)
        check(file)
        return Received(size, incoming.headers)

    return session.repeat(call, deadline, attempt)


def _copy(incoming: Incoming, file: BinaryIO, report: "Observer", max_bytes: int | None) -> int:
    expected, done = incoming.stated_length, 0
    if max_bytes is not None and (expected or 0) > max_bytes:
        raise _too_large(incoming, max_bytes)
    for count in incoming.append_to(file, _WITHOUT_LIMIT if max_bytes is None else max_bytes):
        done += count
        if max_bytes is not None and done > max_bytes:
            raise _too_large(incoming, max_bytes)
        report(done, expected)
    if expected not in (None, done):
        raise IncompleteDownloadError(f"{incoming.where}: {done} of {expected} bytes came")
    report(done, expected, last=True)
    return done


def _too_large(incoming: Incoming, max_bytes: int) -> AnswerTooLargeError:
    return AnswerTooLargeError(f"{incoming.where}: the download is larger than the {max_bytes} bytes allowed")


def _refuse_other_content(incoming: Incoming, call: Call) -> None:
    """Raise if the content type says that this is a web page or a message, not a file."""
    content_type = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "text/html":
        raise NotWebknossosError(f"{call.where}: a web page came instead of a file; check the URL (WK_URL)")
    if content_type == "application/json":
        body = incoming.beginning(_BEGINNING)
        messages = tuple(map(call.secrets.scrubbed, server_messages(body)))
        said = "; ".join(messages) or "nothing"
        raise UnexpectedAnswerError(
            f"{call.where}: JSON came instead of a file; the server says: {said}", messages=messages
        )


def checked_kind(path: Path, where: str) -> Kind:
    """Return what a file is, if it is whole.

    The first bytes decide: names and content types of servers and proxies may lie, these cannot.

    Raises
    ------
    IncompleteDownloadError
        It lacks its end.
    UnexpectedAnswerError
        It is neither a zip nor an NML.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD).removeprefix(_BYTE_ORDER_MARK).lstrip()
        if head.startswith(b"<") and not head[:9].lower().startswith((b"<!doctype", b"<html")):
            _check_nml(file, path.stat().st_size, where)
            return "nml"
    if head.startswith(b"PK"):
        _check_zip(path, where)
        return "zip"
    if not head:
        raise IncompleteDownloadError(f"{where}: the download is empty")
    raise UnexpectedAnswerError(f"{where}: neither a zip nor an NML came, but a file that begins with {head[:20]!r}")


def _check_zip(path: Path, where: str) -> None:
    """Make sure that the end of a zip is there, where all that it holds is listed."""
    try:
        _core.AnnotationZip(path)
    except AnnotationZipError:
        size = path.stat().st_size
    else:
        return
    # outside of the except block, so that it does not carry the other error, which names a file that is gone by then
    raise IncompleteDownloadError(f"{where}: the zip lacks its end, or is damaged there; {size} bytes came")


def _check_nml(file: BinaryIO, size: int, where: str) -> None:
    file.seek(max(0, size - _TAIL))
    tail = file.read().rstrip()
    # comments may follow the root element
    if b"</things>" not in tail or not tail.endswith(b">"):
        raise IncompleteDownloadError(f"{where}: the NML lacks its end; {size} bytes came")


class Upload:
    """A file that is sent a mebibyte at a time, as httpx reads it, and neither longer nor shorter than it was.

    Parameters
    ----------
    report
        Called with the bytes that went and all there are.
    """

    def __init__(self, file: BinaryIO, report: "Observer") -> None:
        self._file = file
        self._report = report
        self._size = file.seek(0, os.SEEK_END)

    def read(self, _size: int = -1) -> bytes:
        """Return the next block; how much is asked for does not matter."""
        done = self._file.tell()
        block = self._file.read(min(_BLOCK, self._size - done)) if done < self._size else b""
        if not block and done < self._size:
            raise ClientError(f"the file to upload became shorter while it was sent: {done} of {self._size} bytes")
        self._report(done + len(block), self._size, last=not block)
        return block

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place in the file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the place in the file."""
        return self._file.tell()


@contextmanager
def upload_form(source: Source, filename: str, fields: dict[str, str], report: "Observer") -> Iterator[dict[str, Any]]:
    """Yield a form of text fields and one file, for httpx."""
    with Path(source).open("rb") if isinstance(source, Path | str) else nullcontext(source) as file:
        kind = "application/xml" if filename.lower().endswith(".nml") else "application/zip"
        yield {"data": fields, "files": [(filename, (filename, Upload(file, report), kind))]}
