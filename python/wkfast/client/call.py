"""One request and its answer: what is asked, and what comes back while it comes."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from wkfast import _core
from wkfast.client.errors import AnswerTooLargeError, ClientError, IncompleteDownloadError, UnexpectedAnswerError
from wkfast.client.failures import may_repeat_reading
from wkfast.client.retry import Timing
from wkfast.client.secret import NO_SECRETS, Secrets
from wkfast.client.urls import shown

_BLOCK = 1 << 20
_FIRST_SUCCESS, _FIRST_REFUSAL = 200, 300
# of a URL that is quoted already
_SAFE = "/%:@!$&'()*+,;=~"


@dataclass(frozen=True)
class Call:
    """One request as the rest of the client sees it."""

    method: str
    url: str
    secrets: Secrets = NO_SECRETS
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)
    #: Opens a form anew for each attempt: what httpx takes as ``data`` and ``files``.
    form: Callable[[], AbstractContextManager[dict[str, Any]]] | None = None
    #: Seconds for the call with all its attempts.
    total: float = 1800.0
    #: The server works before it answers, so the first byte may take long.
    slow_start: bool = False
    retries: int | None = None
    may_repeat: Callable[[ClientError], bool] = may_repeat_reading

    @property
    def where(self) -> str:
        """Method and URL for messages, without query."""
        return f"{self.method} {shown(self.url)}"


@dataclass(frozen=True)
class Batch:
    """Many requests to one server, whose bodies are wanted in one place.

    Attributes
    ----------
    wanted
        Path and query of each, without what must not be shown, and the bytes that its body must have.
    into
        Where the bodies go.
    concurrency
        Requests under way at once, at most.
    settles
        Called with number, status and beginning of an answer that is not the body asked for: whether it is as good,
        e.g. that nothing is stored there. After one that is not, nothing more is asked for.
    meanwhile
        Called once, while the first requests are on their way.
    """

    wanted: list[tuple[str, int]]
    into: _core.VoxelSink
    concurrency: int
    settles: Callable[[int, int, bytes], bool] = lambda *_: False
    meanwhile: Callable[[], object] = lambda: None


@dataclass(frozen=True)
class Answer:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    where: str


class Incoming:
    """An answer whose body is still to be read. Exceptions of the network come out as :class:`ClientError`.

    Parameters
    ----------
    raw
        Yields the body as it is sent.
    close
        Gives the connection back, or closes it if the body has not been read to its end.
    failure
        Makes the error of what goes wrong underway.
    append
        Appends to an open file, by its number, what comes within a moment: returns how many bytes came, not many more
        than allowed, and whether that was the end. ``None`` where only blocks come.
    """

    def __init__(
        self,
        status: int,
        headers: Mapping[str, str],
        timing: Timing,
        raw: Iterable[bytes],
        close: Callable[[], None],
        failure: Callable[[Exception], ClientError | None],
        append: Callable[[int, int], tuple[int, bool]] | None = None,
    ) -> None:
        self.status = status
        self.headers = headers
        self.close = close
        self._timing = timing
        self._raw = raw
        self._failure = failure
        self._append = append

    @property
    def where(self) -> str:
        """Method and URL for messages."""
        return self._timing.where

    @property
    def is_success(self) -> bool:
        """Whether the server did what was asked for."""
        return _FIRST_SUCCESS <= self.status < _FIRST_REFUSAL

    @property
    def encoding(self) -> str:
        """How the bytes that are sent differ from the content: ``identity`` if they do not."""
        return self.headers.get("content-encoding", "").strip().lower() or "identity"

    @property
    def stated_length(self) -> int | None:
        """The length of the content, where it is told."""
        length = self.headers.get("content-length", "")
        sound = length.isascii() and length.isdigit() and len(length) < 19  # noqa: PLR2004 (more than there is)
        return int(length) if sound and self.encoding == "identity" else None

    def check_encoding(self, accepted: str) -> None:
        """Raise if the content is encoded in a way nobody asked for: a little of it may be without end."""
        if self.encoding not in ("identity", accepted):
            raise UnexpectedAnswerError(
                f"{self.where}: the content came encoded ({self.encoding[:60]!r}), which was not asked for"
            )

    def blocks(self) -> Iterator[bytes]:
        """Yield the content as it arrives, none of the blocks large, until the deadline of the call."""
        try:
            for block in _inflated(self._raw) if self.encoding == "gzip" else self._raw:
                yield block
                self._timing.deadline.check(self.where)
        except Exception as error:
            failure = self._failure(error)
            if failure is None:
                raise
        else:
            return
        # outside of the except block: nothing of the request hangs on the error
        raise failure

    def append_to(self, file: BinaryIO, most: int) -> Iterator[int]:
        """Append the content to a file and yield how many bytes came, now and then, also while none do.

        Parameters
        ----------
        most
            What comes beyond so many bytes is left unread, but for a block.
        """
        if self._append is None or self.encoding != "identity":
            for block in self.blocks():
                file.write(block)
                yield len(block)
            return
        file.flush()
        is_over = False
        while not is_over and most >= 0:
            count, is_over = self._append(file.fileno(), most)
            self._timing.deadline.check(self.where)
            most -= count
            yield count
        # for whoever goes on writing through it
        file.seek(0, os.SEEK_END)

    def read(self, limit: int) -> bytes:
        """Return the whole content, of at most `limit` bytes."""
        blocks, size = [], 0
        if (self.stated_length or 0) > limit:
            raise _too_large(self.where, limit)
        for block in self.blocks():
            size += len(block)
            if size > limit:
                raise _too_large(self.where, limit)
            blocks.append(block)
        if self.stated_length not in (None, size):
            raise IncompleteDownloadError(f"{self.where}: {size} of {self.stated_length} bytes came")
        return b"".join(blocks)

    def beginning(self, limit: int) -> bytes:
        """Return the first bytes of the content, as far as they come without trouble."""
        start = b""
        with suppress(ClientError):
            for block in self.blocks():
                start += block
                if len(start) >= limit:
                    break
        return start[:limit]


def target_of(url: str, query: Mapping[str, str]) -> str:
    """Return path and query of a request."""
    parts = urlsplit(url)
    path = quote(parts.path or "/", safe=_SAFE)
    both = "&".join(filter(None, (quote(parts.query, safe=_SAFE + "?"), urlencode(query))))
    return f"{path}?{both}" if both else path


def _inflated(blocks: Iterable[bytes]) -> Iterator[bytes]:
    """Yield what gzip packed, a block at a time however much a little of it stands for."""
    inflater = zlib.decompressobj(wbits=31)
    for packed in blocks:
        block = packed
        while block and not inflater.eof:
            yield inflater.decompress(block, _BLOCK)
            block = inflater.unconsumed_tail
    while not inflater.eof:
        rest = inflater.decompress(b"", _BLOCK)
        if not rest:
            raise zlib.error("it ends too early")
        yield rest


def _too_large(where: str, limit: int) -> ClientError:
    return AnswerTooLargeError(f"{where}: the answer is larger than {limit} bytes")
