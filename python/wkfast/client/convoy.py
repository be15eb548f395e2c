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
from typing import TYPE_CHECKING, Any, cast

from wkfast._lazy import lazy_import
from wkfast.client.errors import ClientError
from wkfast.client.lane import Lane, Wanted
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
_HEAD_LIMIT = 64 << 10
# an answer that is not the body asked for is read up to here, to see whether it settles the matter
_SMALL = 64 << 10
# connections that may break before the long road takes over
_BROKEN = 8
# from this many connections on, more are opened only while most of the time is spent waiting for the server
_CAUTIOUS = 64
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
        self._limit = min(self._most, _CAUTIOUS)
        head = "".join(f"{name}: {value}\r\n" for name, value in wanted.headers.items())
        host = self._server.partition("://")[2]
        self._after_target = f" HTTP/1.1\r\nhost: {host}\r\n{head}\r\n".encode("latin-1")
        self._parcels: Iterator[Parcel] = iter(())
        self._exhausted = False
        self._left: list[Parcel] = []
        self._wires: set[_Wire] = set()
        self._broken = 0
        self._page = memoryview(bytearray(_PAGE))
        self._address: tuple[int, Any] = 0, None
        self._waited = self._answers = 0.0
        self._since = self._looked = time.monotonic()

    def run(self, parcels: Iterable[Parcel]) -> Iterator[Parcel]:
        """Fetch what comes without trouble and return the rest, what was not asked for among it.

        Raises
        ------
        ClientTimeoutError
            The total time is over.
        """
        self._parcels = iter(parcels)
        with selectors.DefaultSelector() as self._selector:
            try:
                self._first()
                while self._wires:
                    self._recruit()
                    self._wait()
            finally:
                for wire in self._wires:
                    wire.connection.close()
                self._lane.give_back(self._most)
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
        self._join(_Wire(connection), parcel)

    def _recruit(self) -> None:
        """Send parcels over further connections, up to the limit."""
        while len(self._wires) < self._limit:
            parcel = self._next()
            if parcel is None:
                return
            connection = self._lane.idle(self._server)
            if connection is not None:
                self._join(_Wire(connection), parcel)
                continue
            wire = _Wire(self._lane.unconnected(self._server))
            wire.parcel, wire.step = parcel, self._on_connected
            try:
                wire.connection.sock = self._connecting()
            except OSError:
                self._lose(wire)
                continue
            self._wires.add(wire)
            self._selector.register(wire.connection.sock, selectors.EVENT_WRITE, wire)

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
        """Give up connections that say nothing, and all of it when the time is over."""
        self._looked = now
        self._wanted.deadline.check(self._wanted.where)
        for wire in list(self._wires):
            patience = self._wanted.connect_seconds if not wire.sent else self._wanted.read_seconds
            if now - wire.seen > patience:
                self._lose(wire)

    def _widen(self, now: float) -> None:
        """Allow more connections where the way to the server and back, not the work, takes the time."""
        if self._waited > (now - self._since) / 2:
            self._limit = min(self._most, 2 * self._limit)
        self._waited, self._answers, self._since = 0.0, 0, now

    # -- one request and its answer -------------------------------------------------------------------------------

    def _send(self, wire: "_Wire") -> None:
        request = b"GET " + wire.parcel.target.encode("ascii") + self._after_target
        wire.begin(self._on_head)
        if wire.connection.sock.send(request) != len(request):
            raise OSError("a request did not go out in one piece")

    def _on_head(self, wire: "_Wire") -> bool:
        received = wire.connection.sock.recv_into(self._page)
        if not received:
            raise OSError("closed before the head")
        wire.head += self._page[:received]
        end = wire.head.find(b"\r\n\r\n")
        if end < 0:
            if len(wire.head) > _HEAD_LIMIT:
                raise ValueError("a head without end")
            return True
        status, headers = wire.read_head(end + 2)
        length = headers.get("content-length", "")
        encoded = headers.get("content-encoding", "identity").lower() != "identity" or "transfer-encoding" in headers
        # behind these comes another answer, or none of the length that is stated
        odd = status < _OK or status in _WITHOUT_BODY
        if odd or encoded or not (length.isascii() and length.isdigit()):
            raise ValueError("an answer for the long road")
        rest = memoryview(wire.head)[end + 4 :]
        if status == _OK and int(length) == wire.parcel.size:
            wire.expect(int(length), iter(wire.parcel.room()), self._on_body)
        elif int(length) <= _SMALL:
            wire.small = bytearray(int(length))
            wire.expect(int(length), iter([memoryview(wire.small)]), self._on_body)
        else:
            raise ValueError("an answer for the long road")
        wire.spill(rest)
        return self._whole(wire) if not wire.left else True

    def _on_body(self, wire: "_Wire") -> bool:
        target = wire.target
        received = wire.connection.sock.recv_into(target)
        if not received:
            raise OSError("closed within the body")
        wire.advance(received)
        return self._whole(wire) if not wire.left else True

    def _whole(self, wire: "_Wire") -> bool:
        """Hand over what came and send the next parcel; whether there may be more to read."""
        parcel = wire.parcel
        self._answers += 1
        if wire.small is None:
            if not parcel.arrived(wire.headers):
                self._left.append(parcel)
        elif not parcel.settles(wire.status, bytes(wire.small)):
            self._left.append(parcel)
            self._stop()
        if not wire.stays_open:
            self._part(wire)
            wire.connection.close()
            return False
        following = self._next()
        if following is None:
            self._part(wire)
            self._lane.keep(self._server, wire.connection)
            return False
        wire.parcel = following
        self._send(wire)
        return False


class _Wire:
    """A connection and what it is bringing."""

    __slots__ = (
        "connection",
        "head",
        "headers",
        "left",
        "parcel",
        "runs",
        "seen",
        "sent",
        "small",
        "status",
        "stays_open",
        "step",
        "target",
    )  # fmt: skip

    parcel: Parcel
    step: "Callable[[_Wire], bool]"

    def __init__(self, connection: "http_client.HTTPConnection") -> None:
        self.connection = connection
        self.seen = time.monotonic()
        self.sent = False
        self.head = bytearray()
        self.small: bytearray | None = None

    def begin(self, step: "Callable[[_Wire], bool]") -> None:
        """Expect a head."""
        self.step = step
        self.head = bytearray()
        self.small = None
        self.sent = True
        self.seen = time.monotonic()

    def read_head(self, end: int) -> tuple[int, dict[str, str]]:
        """Take status and headers out of what came; ``ValueError`` if that is no HTTP."""
        line = _STATUS_LINE.match(self.head)
        if line is None:
            raise ValueError("no HTTP")
        fields = bytes(self.head[line.end() : end]).decode("latin-1").split("\r\n")
        pairs = [field.partition(":") for field in fields if field]
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        if not all(_FIELD_NAME.fullmatch(name) for name in headers):
            raise ValueError("no HTTP")
        if sum(name.lower() == "content-length" for name, *_ in pairs) > 1:
            raise ValueError("an answer of two lengths")
        self.status = int(line[2])
        self.headers: dict[str, str] = headers
        # HTTP/1.0 keeps nothing open unless it says so, and is left alone
        self.stays_open = line[1] == b"1" and "close" not in headers.get("connection", "").lower()
        return self.status, headers

    def expect(self, size: int, runs: Iterator[memoryview], step: "Callable[[_Wire], bool]") -> None:
        """Expect a body that goes into ``runs``, one after the other."""
        self.left, self.runs, self.step = size, runs, step
        self.target = next(runs) if size else memoryview(b"")

    def spill(self, data: memoryview) -> None:
        """Put the beginning of the body, which came with the head, in its place."""
        if len(data) > self.left:
            raise ValueError("more came than was announced")
        while data:
            part = data[: len(self.target)]
            self.target[: len(part)] = part
            data = data[len(part) :]
            self.advance(len(part))

    def advance(self, received: int) -> None:
        """Go on behind what was received."""
        self.left -= received
        self.target = self.target[received:]
        if not self.target and self.left:
            self.target = next(self.runs)
