"""Downloads that stream: into a file that is complete or absent, or into a spool."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from wkfast.client.completeness import Kind, checked_kind
from wkfast.client.errors import (
    AnswerTooLargeError,
    IncompleteDownloadError,
    NotWebknossosError,
    UnexpectedAnswerError,
)
from wkfast.client.exchange import Call, Incoming
from wkfast.client.failures import server_messages
from wkfast.client.filenames import proposed_name, safe_name
from wkfast.client.progress import Progress, ProgressMeter
from wkfast.client.retry import Deadline
from wkfast.client.secret import scrubbed
from wkfast.client.session import Session
from wkfast.client.sinks import PartFile, restart

_BEGINNING = 64 << 10


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
        Where it lies; ``None`` if it went into a file object.
    """

    name: str
    kind: Kind
    size: int
    path: Path | None = None


def download_to_path(
    session: Session,
    call: Call,
    target: Path,
    *,
    default_name: str,
    overwrite: bool = True,
    progress: Progress | None = None,
    max_bytes: int | None = None,
    durable: bool = True,
) -> Download:
    """Download an annotation into ``target``: a path to create or replace, or a folder to put it in.

    The file has its final name only when it is whole and on disk; a failure leaves what was there before.

    Raises
    ------
    FileExistsError
        The file is there and ``overwrite`` is false, or the server chose the name of a file that is there: only a name
        that the caller gave is ever replaced.
    """
    in_folder = target.is_dir()
    folder = target if in_folder else target.parent
    if not in_folder and not overwrite:
        _refuse_existing(target)
    with PartFile(folder, default_name if in_folder else target.name) as part:
        download = download_into(
            session, call, part.file, default_name=default_name, progress=progress, max_bytes=max_bytes
        )
        path = folder / download.name if in_folder else target
        if in_folder or not overwrite:
            _refuse_existing(path)
        part.commit(path, durable=durable)
    return Download(download.name, download.kind, download.size, path)


def _refuse_existing(path: Path) -> None:
    if path.exists() or path.is_symlink():
        raise FileExistsError(f"{path} is there already; name a target file to replace it, or remove it first")


def download_into(
    session: Session,
    call: Call,
    file: BinaryIO,
    *,
    default_name: str,
    progress: Progress | None = None,
    max_bytes: int | None = None,
) -> Download:
    """Download an annotation into an empty file object, which must be seekable, and leave it at its start."""
    kinds: list[Kind] = []

    def check(whole: BinaryIO) -> None:
        kinds[:] = [checked_kind(whole, call.where)]

    received = receive(session, call, file, check=check, progress=progress, max_bytes=max_bytes)
    name = proposed_name(received.headers.get("content-disposition"))
    file.seek(0)
    return Download(safe_name(name, default_name, f".{kinds[0]}"), kinds[0], received.size)


def receive(
    session: Session,
    call: Call,
    file: BinaryIO,
    *,
    check: Callable[[BinaryIO], None],
    progress: Progress | None = None,
    max_bytes: int | None = None,
) -> Received:
    """Write the body of a call into ``file``, from byte 0 again after each broken attempt, until ``check`` passes.

    Broken downloads are not continued: two exports of one annotation differ in their bytes.
    """
    deadline = session.deadline(call)

    def attempt() -> Received:
        restart(file)
        with session.exchange(call, deadline) as incoming:
            _refuse_other_content(incoming, call)
            received = _copy(
                incoming,
                call,
                file,
                deadline,
                meter_for=lambda total: ProgressMeter(progress, total, session.clock),
                max_bytes=max_bytes,
            )
        check(file)
        return received

    return session.repeat(call, deadline, attempt)


def _copy(
    incoming: Incoming,
    call: Call,
    file: BinaryIO,
    deadline: Deadline,
    *,
    meter_for: Callable[[int | None], ProgressMeter],
    max_bytes: int | None,
) -> Received:
    expected = _stated_length(incoming)
    meter = meter_for(expected)
    if max_bytes is not None and (expected or 0) > max_bytes:
        raise _too_large(call, max_bytes)
    for block in incoming.blocks():
        file.write(block)
        meter.add(len(block))
        if max_bytes is not None and meter.done > max_bytes:
            raise _too_large(call, max_bytes)
        deadline.check(call.where)
    if expected is not None and meter.done != expected:
        raise IncompleteDownloadError(f"{call.where}: {meter.done} of {expected} bytes came")
    meter.finish()
    return Received(meter.done, incoming.headers)


def _too_large(call: Call, max_bytes: int) -> AnswerTooLargeError:
    return AnswerTooLargeError(f"{call.where}: the download is larger than the {max_bytes} bytes allowed")


def _stated_length(incoming: Incoming) -> int | None:
    """Return the stated length, where it counts the bytes that will be seen."""
    length = incoming.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and not incoming.is_encoded else None


def _refuse_other_content(incoming: Incoming, call: Call) -> None:
    """Raise if the content type says that this is a web page or a message, not a file."""
    content_type = incoming.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type == "text/html":
        raise NotWebknossosError(f"{call.where}: a web page came instead of a file; check the URL (WK_URL)")
    if content_type == "application/json":
        body = incoming.beginning(_BEGINNING)
        messages = tuple(scrubbed(message, *call.secrets) for message in server_messages(body))
        said = "; ".join(messages) or "nothing"
        raise UnexpectedAnswerError(
            f"{call.where}: JSON came instead of a file; the server says: {said}", messages=messages
        )
