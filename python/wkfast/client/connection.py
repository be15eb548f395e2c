"""One connection to a server: HTTP/1.1 requests that have no body, and their answers, within one deadline.

It costs a fifth of the processor time that httpx takes for a request, which is what bounds the rate of chunks. What is
odd is refused: an answer that is read differently from how it was meant spoils those that follow it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from wkfast.client.retry import Deadline
from wkfast.client.secret import Secrets

if TYPE_CHECKING:
    import socket

_BLOCK = 1 << 20
_HEAD_LIMIT = 64 << 10
_LINE_LIMIT = 4 << 10
# answers before the answer, e.g. early hints, that are passed over
INTERIM_LIMIT = 16
_FIRST_FINAL, _SWITCHING = 200, 101
_WITHOUT_BODY = frozenset({204, 304})
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;.*)?")


@dataclass(frozen=True)
class Timing:
    """How long parts of a call may take: seconds of a phase, and the deadline of all of it, down to the last byte."""

    where: str
    deadline: Deadline
    connect_seconds: float
    read_seconds: float
    first_byte_seconds: float

    def connecting(self) -> float:
        """Return the seconds left for opening a connection."""
        return self._left(self.connect_seconds)

    def reading(self, *, first: bool = False) -> float:
        """Return the seconds to wait for the next byte."""
        return self._left(self.first_byte_seconds if first else self.read_seconds)

    def _left(self, seconds: float) -> float:
        self.deadline.check(self.where)
        # a socket takes zero for "do not wait at all"
        return max(0.001, min(seconds, self.deadline.remaining()))


@dataclass(frozen=True)
class Head:
    """What an answer says of itself. Header names are in lower case, repeated ones joined by commas.

    Attributes
    ----------
    length
        Bytes of the body; ``None`` where its end is marked in it (chunked), or is the end of the connection.
    """

    status: int
    headers: Mapping[str, str]
    length: int | None
    is_chunked: bool
    stays_open: bool

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Take an answer's head apart; ``ValueError`` if that is no HTTP."""
        first, *lines = text.replace(b"\r\n", b"\n").split(b"\n")
        line = _STATUS_LINE.fullmatch(first)
        if line is None:
            raise ValueError("no HTTP")
        status, headers = int(line[2]), _headers(lines)
        is_chunked = "transfer-encoding" in headers
        if is_chunked and headers["transfer-encoding"].lower() != "chunked":
            raise ValueError("an unknown transfer-encoding")
        length = None if is_chunked else _length(headers.get("content-length"))
        if status < _FIRST_FINAL or status in _WITHOUT_BODY:
            length, is_chunked = 0, False
        # HTTP/1.0 keeps nothing open unless it says so, and is left alone
        stays_open = line[1] == b"1" and "close" not in headers.get("connection", "").lower()
        both = is_chunked and "content-length" in headers
        return cls(status, headers, length, is_chunked, stays_open and not both and (is_chunked or length is not None))

    @property
    def is_interim(self) -> bool:
        """Whether the answer is still to come. ``ValueError`` if it never will, because the server speaks otherwise."""
        if self.status == _SWITCHING:
            raise ValueError("the server changes the protocol")
        return self.status < _FIRST_FINAL


def _headers(lines: list[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.decode("latin-1").partition(":")
        name = name.lower()
        if not colon or not _FIELD_NAME.fullmatch(name):
            raise ValueError("a header that is none")
        value = value.strip()
        if name not in headers:
            headers[name] = value
        elif name != "content-length" or headers[name] != value:
            headers[name] = f"{headers[name]}, {value}"
    return headers


def _length(text: str | None) -> int | None:
    if text is None:
        return None
    # more digits than any length has; Python refuses to read some thousands of them
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise ValueError("a length that is none")
    return int(text)


class Connection:
    """A connection that carries one request at a time.

    Attributes
    ----------
    was_used
        Whether it has brought an answer: the server may have closed it since.
    is_free
        Whether the next request may go over it: the answer has been read to its end, nothing came behind it, and the
        server means to hear more.
    """

    def __init__(self, sock: "socket.socket", *, proxied_to: str | None = None) -> None:
        self.sock = sock
        #: The origin that requests name in full, because a proxy has to pass them on.
        self.proxied_to = proxied_to
        self.was_used = False
        self.is_free = True
        self._unread = b""

    def close(self) -> None:
        """Close it, whatever is on its way."""
        self.is_free = False
        self.sock.close()

    def send(self, request: "Request", timing: Timing) -> None:
        """Send a request."""
        self.is_free = False
        self.sock.settimeout(timing.reading())
        # the encoded request holds the token: it is nowhere kept, so that no traceback shows it
        self.sock.sendall(request.encoded(self.proxied_to))

    def head(self, timing: Timing) -> Head:
        """Return what the answer says of itself; answers before it are passed over."""
        for _ in range(INTERIM_LIMIT + 1):
            head = Head.of(self._head_text(timing))
            if not head.is_interim:
                return head
        raise ValueError(f"more than {INTERIM_LIMIT} answers before the answer")

    def blocks(self, head: Head, timing: Timing) -> Iterator[bytes]:
        """Yield the body as it arrives; ``ConnectionError`` if it ends too early."""
        if head.is_chunked:
            while size := self._chunk_size(timing):
                yield from self._exactly(size, timing)
                self._line(timing, b"")
            self._skip_trailers(timing)
        elif head.length is not None:
            yield from self._exactly(head.length, timing)
        else:
            while block := self._unread or self._received(timing):
                self._unread = b""
                yield block
        self.was_used = True
        self.is_free = head.stays_open and not self._unread

    def has_unread(self) -> bool:
        """Whether something came that nobody has read."""
        return bool(self._unread)

    def _received(self, timing: Timing, size: int = _BLOCK, *, first: bool = False) -> bytes:
        self.sock.settimeout(timing.reading(first=first))
        return self.sock.recv(size)

    def _more(self, timing: Timing, *, first: bool = False) -> None:
        block = self._received(timing, first=first)
        if not block:
            raise ConnectionResetError("closed by the server before the end of its answer")
        self._unread += block

    def _head_text(self, timing: Timing) -> bytes:
        while (end := _HEAD_END.search(self._unread)) is None:
            if len(self._unread) > _HEAD_LIMIT:
                raise ValueError("a head without end")
            self._more(timing, first=not self._unread)
        text, self._unread = self._unread[: end.start()], self._unread[end.end() :]
        return text

    def _exactly(self, size: int, timing: Timing) -> Iterator[bytes]:
        while size:
            block, self._unread = self._unread[:size], self._unread[size:]
            block = block or self._received(timing, min(size, _BLOCK))
            if not block:
                raise ConnectionResetError(f"closed by the server, {size} bytes before the end")
            size -= len(block)
            yield block

    def _line(self, timing: Timing, expected: bytes | None = None) -> bytes:
        while b"\n" not in self._unread:
            if len(self._unread) > _LINE_LIMIT:
                raise ValueError("a line without end in a chunked body")
            self._more(timing)
        line, _, self._unread = self._unread.partition(b"\n")
        line = line.removesuffix(b"\r")
        if expected is not None and line != expected:
            raise ValueError("a chunked body that is none")
        return line

    def _chunk_size(self, timing: Timing) -> int:
        match = _CHUNK_SIZE.fullmatch(self._line(timing))
        if match is None:
            raise ValueError("a chunked body that is none")
        return int(match[1], 16)

    def _skip_trailers(self, timing: Timing) -> None:
        size = 0
        while line := self._line(timing):
            size += len(line)
            if size > _HEAD_LIMIT:
                raise ValueError("trailers without end")


@dataclass(frozen=True)
class Request:
    """A request without body. What must not be shown is put into it only when it is sent.

    Attributes
    ----------
    target
        Path and query, without secrets.
    secrets
        Give a header and parts of the query.
    """

    method: str
    server: str
    target: str
    headers: Mapping[str, str]
    secrets: Secrets

    def encoded(self, proxied_to: str | None = None) -> bytes:
        """Return the request as it is sent."""
        target = self.secrets.with_query(self.target)
        lines = [f"{self.method} {proxied_to or ''}{target} HTTP/1.1", f"host: {self.server.partition('://')[2]}"]
        lines += [f"{name}: {value}" for name, value in {**self.headers, **self.secrets.headers()}.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
