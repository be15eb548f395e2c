"""Many GETs at once from one thread: bodies arrive in the memory where they belong.

A thread per request would spend its time handing the interpreter around, and a copy of each body would cost as much as
fetching it. A convoy knows plain whole answers only. Everything else, errors first, is left to the long road, which
knows how to try again, where redirects lead and what to tell the user.
"""

import itertools
import re
import selectors
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, cast

from wkfast._lazy import lazy_import
from wkfast.client.errors import ClientError
from wkfast.client.lane import Lane, Wanted
from wkfast.client.retry import Deadline
from wkfast.client.urls import origin

if TYPE_CHECKING:
    import socket
    import ssl
    from http import client as http_client
else:
    socket = lazy_import("socket")
    ssl = lazy_import("ssl")

_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")
_PAGE = 16 << 10
# bodies up to here are received together with their head
_AT_ONCE = 256 << 10
_HEAD_LIMIT = 64 << 10
# an answer that is not the body asked for is read up to here, to see whether it settles the matter
_SMALL = 64 << 10
# connections that may break before the long road takes over
_BROKEN = 8
# share of the time spent waiting from which on more connections are worth trying
_IDLENESS = 1 / 8
# pieces of memory that one read fills
_PIECES = 64
_OK = 200
_WITHOUT_BODY = frozenset({204, 304})
_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) (\d{3})(?: [^\r\n]*)?\r\n")


class Parcel(ABC):
    """One GET of many, all to one origin.

    Attributes
    ----------
    target
        Path and query.
    size
        Bytes that the body must have.
    """

    __slots__ = ("size", "target")

    target: str
    size: int

    @abstractmethod
    def room(self) -> Iterable[memoryview]:
        """Return where the body goes, in order: writable bytes, ``size`` of them."""

    @abstractmethod
    def arrived(self, headers: Mapping[str, str]) -> bool:
        """Take note that the body is in its place; whether that is all of it."""

    def at_once(self, headers: Mapping[str, str], body: memoryview) -> bool:
        """Take a body that came in one piece, which is lent for this call only; whether that is all of it."""
        for run in self.room():
            run[:] = body[: len(run)]
            body = body[len(run) :]
        return self.arrived(headers)

    def settles(self, status: int, body: bytes) -> bool:  # noqa: ARG002 (for those that know such answers)
        """Whether another answer than the body asked for is as good, e.g. that nothing is stored there."""
        return False


class Convoy:
    """Parcels under way over the connections of a lane.

    Parameters
    ----------
    lane
        Lends connections and gets them back.
    wanted
        Headers and times of each GET; its URL tells the origin.
    concurrency
        Connections at once, at most.
    """

    def __init__(self, lane: Lane, wanted: Wanted, concurrency: int) -> None:
        self._lane = lane
        self._wanted = wanted
        self._server = origin(wanted.url)
        self._most = lane.reserve(concurrency)
        self._limit = min(self._most, lane.width(self._server))
        head = "".join(f"{name}: {value}\r\n" for name, value in wanted.headers.items())
        host = self._server.partition("://")[2]
        self._after_target = f" HTTP/1.1\r\nhost: {host}\r\n{head}\r\n".encode("latin-1")
        self._parcels: Iterator[Parcel] = iter(())
        self._exhausted = False
        self._left: list[Parcel] = []
        self._wires: set[_Wire] = set()
        self._broken = 0
        self._page = bytearray(_AT_ONCE + _PAGE)
        self._page_view = memoryview(self._page)
        self._address: tuple[int, Any] = 0, None
        self._waited = self._answers = 0.0
        self._last_head: tuple[bytes, _Head] | None = None
        self._since = self._looked = time.monotonic()
        # of the requests that go out now
        self._deadline = wanted.deadline

    def run(self, parcels: Iterable[Parcel], meanwhile: Callable[[], object] = lambda: None) -> Iterator[Parcel]:
        """Fetch what comes without trouble and return the rest, what was not asked for among it.

        Parameters
        ----------
        meanwhile
            Called once, while the first requests are on their way.

        Raises
        ------
        ClientTimeoutError
            The total time of a request is over.
        """
        self._parcels = iter(parcels)
        with selectors.DefaultSelector() as self._selector:
            try:
                self._first()
                self._recruit()
                meanwhile()
                while self._wires:
                    self._wait()
                    self._recruit()
            finally:
                for wire in self._wires:
                    wire.connection.close()
                self._lane.give_back(self._most)
                self._lane.note_width(self._server, self._limit)
        return itertools.chain(self._left, self._parcels)

    # -- connections ----------------------------------------------------------------------------------------------

    def _first(self) -> None:
        """Send the first parcel over a connection that was there, or made with all the care of a single request."""
        parcel = self._next()
        if parcel is None:
            return
        try:
            connection, _ = self._lane.take(self._server, self._wanted)
        except ClientError:
            self._left.append(parcel)
            self._stop()
            return
        try:
            self._address = connection.sock.family, connection.sock.getpeername()
        except OSError:
            # the server has left already
            connection.close()
            self._left.append(parcel)
            self._stop()
            return
        self._join(self._wire(connection), parcel)

    def _recruit(self) -> None:
        """Send parcels over further connections, up to the limit."""
        missing = self._limit - len(self._wires)
        if missing <= 0 or self._exhausted:
            return
        for connection in self._lane.several(self._server, missing):
            parcel = self._next()
            if parcel is None:
                self._lane.keep(self._server, connection)
            else:
                self._join(self._wire(connection), parcel)
        while len(self._wires) < self._limit:
            parcel = self._next()
            if parcel is None:
                return
            wire = self._wire(self._lane.unconnected(self._server))
            wire.parcel, wire.step = parcel, self._on_connected
            try:
                wire.connection.sock = self._connecting()
            except OSError:
                self._lose(wire)
                continue
            self._wires.add(wire)
            self._selector.register(wire.connection.sock, selectors.EVENT_WRITE, wire)

    def _wire(self, connection: "http_client.HTTPConnection") -> "_Wire":
        return _Wire(connection, is_plain=self._server.startswith("http:"))

    def _connecting(self) -> "socket.socket":
        family, address = self._address
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.settimeout(0)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(address)
        return sock

    def _on_connected(self, wire: "_Wire") -> bool:
        sock = wire.connection.sock
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "not connected")
        context = self._lane.context_for(self._server)
        self._selector.unregister(sock)
        if context is not None:
            host = wire.connection.host
            sock = context.wrap_socket(sock, server_hostname=host, do_handshake_on_connect=False)
            wire.connection.sock, wire.step = sock, self._on_handshake
        self._selector.register(sock, selectors.EVENT_READ, wire)
        if context is None:
            self._send(wire)
            return False
        return True

    def _on_handshake(self, wire: "_Wire") -> bool:
        cast("ssl.SSLSocket", wire.connection.sock).do_handshake()
        self._send(wire)
        return False

    def _join(self, wire: "_Wire", parcel: Parcel) -> None:
        wire.parcel = parcel
        if wire.connection.sock.gettimeout() != 0:
            wire.connection.sock.settimeout(0)
        self._wires.add(wire)
        self._selector.register(wire.connection.sock, selectors.EVENT_READ, wire)
        try:
            self._send(wire)
        except OSError:
            self._lose(wire)

    def _part(self, wire: "_Wire") -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(wire.connection.sock)
        self._wires.discard(wire)

    def _lose(self, wire: "_Wire") -> None:
        """Leave a parcel to the long road, and its connection, of which nobody knows what it would bring next."""
        self._part(wire)
        wire.connection.close()
        self._left.append(wire.parcel)
        self._broken += 1
        if self._broken >= _BROKEN:
            self._stop()

    def _stop(self) -> None:
        """Send nothing more: what is under way comes, all else is left."""
        self._exhausted = True

    def _next(self) -> Parcel | None:
        if self._exhausted:
            return None
        parcel = next(self._parcels, None)
        self._exhausted = parcel is None
        return parcel

    # -- waiting --------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        begin = time.monotonic()
        ready = self._selector.select(min(1.0, self._wanted.read_seconds / 4))
        now = time.monotonic()
        self._waited += now - begin
        self._deadline = self._wanted.deadline.anew()
        for key, _ in ready:
            wire = key.data
            wire.seen = now
            self._advance(wire)
        if now - self._looked > min(1.0, self._wanted.read_seconds / 4):
            self._look(now)
        if self._answers >= self._limit:
            self._widen(now)

    def _advance(self, wire: "_Wire") -> None:
        """Take steps until a wire has nothing more to read."""
        try:
            while wire.step(wire):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except (OSError, ValueError):
            self._lose(wire)

    def _look(self, now: float) -> None:
        """Give up connections that say nothing, and all of it when the time of a request is over."""
        self._looked = now
        for wire in list(self._wires):
            wire.deadline.check(self._wanted.where)
            patience = self._wanted.connect_seconds if not wire.sent else self._wanted.read_seconds
            if now - wire.seen > patience:
                self._lose(wire)

    def _widen(self, now: float) -> None:
        """Allow more connections where the way to the server and back, not the work here, takes some of the time."""
        if self._waited > (now - self._since) * _IDLENESS:
            self._limit = min(self._most, 2 * self._limit)
        self._waited, self._answers, self._since = 0.0, 0, now

    # -- one request and its answer -------------------------------------------------------------------------------

    def _send(self, wire: "_Wire") -> None:
        request = b"GET " + wire.parcel.target.encode("ascii") + self._after_target
        wire.begin(self._on_head, self._deadline)
        if wire.connection.sock.send(request) != len(request):
            raise OSError("a request did not go out in one piece")

    def _on_head(self, wire: "_Wire") -> bool:
        size = wire.parcel.size
        space = self._page_view[: size + _PAGE if size <= _AT_ONCE else _PAGE]
        received = wire.connection.sock.recv_into(space)
        if not received:
            raise OSError("closed before the head")
        came, view, size = self._page, self._page_view, received
        if wire.came:
            wire.came += space[:received]
            came, view, size = wire.came, memoryview(wire.came), len(wire.came)
        end = came.find(b"\r\n\r\n", 0, size)
        if end < 0:
            if size > _HEAD_LIMIT:
                raise ValueError("a head without end")
            wire.came = came[:size]
            return True
        wire.head = head = self._read_head(bytes(view[: end + 2]))
        if head.length is None:
            raise ValueError("an answer for the long road")
        rest = view[end + 4 : size]
        if head.status == _OK and head.length == wire.parcel.size:
            if len(rest) == head.length:
                return self._whole(wire, rest)
            wire.expect(head.length, wire.parcel.room(), self._on_body)
        elif head.length <= _SMALL:
            wire.small = bytearray(head.length)
            wire.expect(head.length, [memoryview(wire.small)], self._on_body)
        else:
            raise ValueError("an answer for the long road")
        wire.spill(rest)
        if not wire.left:
            return self._whole(wire)
        return received == len(space) or not wire.is_plain

    def _read_head(self, text: bytes) -> "_Head":
        """Take a head apart. Those of chunks that come one after the other are mostly the same."""
        if self._last_head is None or self._last_head[0] != text:
            self._last_head = text, _Head.of(text)
        return self._last_head[1]

    def _on_body(self, wire: "_Wire") -> bool:
        received, asked = wire.receive()
        if not received:
            raise OSError("closed within the body")
        wire.advance(received)
        if not wire.left:
            return self._whole(wire)
        # what is encrypted may have come already, unseen by the selector
        return received == asked or not wire.is_plain

    def _whole(self, wire: "_Wire", body: memoryview | None = None) -> bool:
        """Hand over what came and send the next parcel; whether there may be more to read."""
        parcel, head, small = wire.parcel, wire.head, wire.small
        self._answers += 1
        if small is not None and not parcel.settles(head.status, bytes(small)):
            self._left.append(parcel)
            self._stop()
        # the server works on the next one while this one is put in its place
        self._go_on(wire)
        if small is None and not (parcel.arrived(head.headers) if body is None else parcel.at_once(head.headers, body)):
            self._left.append(parcel)
        return False

    def _go_on(self, wire: "_Wire") -> None:
        """Send the next parcel, if there is one and the server will hear it."""
        following = self._next() if wire.head.stays_open else None
        if following is not None:
            wire.parcel = following
            try:
                self._send(wire)
            except OSError:
                self._lose(wire)
            return
        self._part(wire)
        if wire.head.stays_open:
            self._lane.keep(self._server, wire.connection)
        else:
            wire.connection.close()


@dataclass(frozen=True)
class _Head:
    """What an answer says of itself. Names are in lower case; no length means that the long road is to read it."""

    status: int
    headers: Mapping[str, str]
    length: int | None
    stays_open: bool

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Take status and headers out of a head; ``ValueError`` if that is no HTTP."""
        line = _STATUS_LINE.match(text)
        if line is None:
            raise ValueError("no HTTP")
        fields = text[line.end() :].decode("latin-1").split("\r\n")
        pairs = [field.partition(":") for field in fields if field]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if not all(_FIELD_NAME.fullmatch(name) for name in headers):
            raise ValueError("no HTTP")
        if sum(name.lower() == "content-length" for name, *_ in pairs) > 1:
            raise ValueError("an answer of two lengths")
        # HTTP/1.0 keeps nothing open unless it says so, and is left alone
        stays_open = line[1] == b"1" and "close" not in headers.get("connection", "").lower()
        return cls(int(line[2]), headers, _plain_length(int(line[2]), headers), stays_open)


def _plain_length(status: int, headers: Mapping[str, str]) -> int | None:
    """Return the length of the body behind a head, ``None`` if another answer follows, or a body that is encoded."""
    odd = status < _OK or status in _WITHOUT_BODY
    encoded = headers.get("content-encoding", "identity").lower() != "identity" or "transfer-encoding" in headers
    length = headers.get("content-length", "")
    return None if odd or encoded or not (length.isascii() and length.isdigit()) else int(length)


class _Wire:
    """A connection and what it is bringing."""

    __slots__ = (
        "came", "connection", "deadline", "head", "is_plain", "left", "parcel", "runs", "seen", "sent", "small", "step",
    )  # fmt: skip

    parcel: Parcel
    step: "Callable[[_Wire], bool]"
    deadline: Deadline
    head: _Head
    #: Where the rest of the body goes, and how much of it there is.
    runs: list[memoryview]
    left: int

    def __init__(self, connection: "http_client.HTTPConnection", *, is_plain: bool) -> None:
        self.connection = connection
        #: Whether what comes in is what the selector sees.
        self.is_plain = is_plain
        self.seen = time.monotonic()
        self.sent = False
        self.came = bytearray()
        self.small: bytearray | None = None

    def begin(self, step: "Callable[[_Wire], bool]", deadline: Deadline) -> None:
        """Expect a head."""
        self.step = step
        self.deadline = deadline
        self.came = bytearray()
        self.small = None
        self.sent = True
        self.seen = time.monotonic()

    def expect(self, size: int, runs: Iterable[memoryview], step: "Callable[[_Wire], bool]") -> None:
        """Expect a body that goes into ``runs``, one after the other."""
        self.left, self.step = size, step
        # the next one last
        self.runs = list(runs)[::-1] if size else []

    def receive(self) -> tuple[int, int]:
        """Put what has come in its place; how much came, and how much there was place for."""
        sock = self.connection.sock
        if len(self.runs) == 1 or not self.is_plain:
            return sock.recv_into(self.runs[-1]), len(self.runs[-1])
        runs = self.runs[: -_PIECES - 1 : -1]
        return sock.recvmsg_into(runs)[0], sum(map(len, runs))

    def spill(self, data: memoryview) -> None:
        """Put the beginning of the body, which came with the head, in its place."""
        if len(data) > self.left:
            raise ValueError("more came than was announced")
        while data:
            target = self.runs[-1]
            part = data[: len(target)]
            target[: len(part)] = part
            data = data[len(part) :]
            self.advance(len(part))

    def advance(self, received: int) -> None:
        """Go on behind what was received."""
        self.left -= received
        while received:
            target = self.runs.pop()
            if received < len(target):
                self.runs.append(target[received:])
            received -= min(received, len(target))
