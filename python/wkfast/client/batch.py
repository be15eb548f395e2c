"""Many GETs at once from one thread: bodies arrive in the memory where they belong.

A thread per request would spend its time handing the interpreter around, and a copy of each body would cost as much as
fetching it. A batch knows plain whole answers only. Everything else, errors first, is left to single requests, which
know how to try again, where redirects lead and what to tell the user.
"""

import itertools
import selectors
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from wkfast._lazy import lazy_import
from wkfast.client.connection import INTERIM_LIMIT, Connection, Head, Request, Timing
from wkfast.client.errors import ClientError
from wkfast.client.pool import Peer, Pool
from wkfast.client.retry import Deadline

if TYPE_CHECKING:
    import socket
    import ssl
else:
    socket = lazy_import("socket")
    ssl = lazy_import("ssl")

_PAGE = 16 << 10
# bodies up to here are received together with their head
_AT_ONCE = 256 << 10
_HEAD_LIMIT = 64 << 10
# an answer that is not the body asked for is read up to here, to see whether it settles the matter
_SMALL = 64 << 10
# connections that may break before single requests take over
_BROKEN = 8
# share of the time spent waiting from which on more connections are worth trying
_IDLENESS = 1 / 8
# pieces of memory that one read fills
_PIECES = 64
_OK = 200


class BatchRequest(ABC):
    """One GET of many, all to one origin.

    Attributes
    ----------
    target
        Path and query, without what must not be shown.
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


class RequestBatch:
    """Requests under way over the connections of a pool.

    Parameters
    ----------
    pool
        Lends connections and gets them back.
    model
        What is the same in all requests: server, headers and secrets.
    timing
        Times of each request.
    concurrency
        Connections at once, at most.
    """

    def __init__(self, pool: Pool, model: Request, timing: Timing, concurrency: int) -> None:
        self._pool = pool
        self._timing = timing
        self._peer = Peer(model.server, model.secrets)
        self._most = pool.reserve(concurrency)
        self._limit = min(self._most, pool.width(model.server))
        # what stands behind a target, without and with a query of its own; the secrets are in it
        self._behind = [replace(model, target=mark).encoded().partition(mark.encode())[2] for mark in ("\0", "\0?")]
        self._requests: Iterator[BatchRequest] = iter(())
        self._exhausted = False
        self._left: list[BatchRequest] = []
        self._slots: set[_Slot] = set()
        self._broken = 0
        self._page = bytearray(_AT_ONCE + _PAGE)
        self._page_view = memoryview(self._page)
        self._address: tuple[int, Any] = 0, None
        self._waited = self._answers = 0.0
        self._last_head: tuple[bytes, Head] | None = None
        self._since = self._looked = time.monotonic()
        # of the requests that go out now
        self._deadline = timing.deadline

    def run(
        self, requests: Iterable[BatchRequest], meanwhile: Callable[[], object] = lambda: None
    ) -> Iterator[BatchRequest]:
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
        self._requests = iter(requests)
        with selectors.DefaultSelector() as self._selector:
            try:
                self._first()
                self._recruit()
                meanwhile()
                while self._slots:
                    self._wait()
                    self._recruit()
            finally:
                for slot in self._slots:
                    slot.connection.close()
                self._pool.give_back(self._most)
                self._pool.note_width(self._peer.server, self._limit)
        return itertools.chain(self._left, self._requests)

    # -- connections ----------------------------------------------------------------------------------------------

    def _first(self) -> None:
        """Send the first request over a connection that was there, or made with all the care of a single request."""
        request = self._next()
        if request is None:
            return
        try:
            connection = self._pool.idle(self._peer) or self._pool.connected(self._peer, self._timing)
        except ClientError:
            self._left.append(request)
            self._stop()
            return
        try:
            self._address = connection.sock.family, connection.sock.getpeername()
        except OSError:
            # the server has left already
            connection.close()
            self._left.append(request)
            self._stop()
            return
        self._join(self._slot(connection), request)

    def _recruit(self) -> None:
        """Send requests over further connections, up to the limit."""
        missing = self._limit - len(self._slots)
        if missing <= 0 or self._exhausted:
            return
        for connection in self._pool.several(self._peer, missing):
            request = self._next()
            if request is None:
                self._pool.keep(self._peer, connection)
            else:
                self._join(self._slot(connection), request)
        while len(self._slots) < self._limit:
            request = self._next()
            if request is None:
                return
            sock = socket.socket(self._address[0], socket.SOCK_STREAM)
            slot = self._slot(Connection(sock))
            slot.request, slot.step = request, self._on_connected
            try:
                sock.settimeout(0)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect_ex(self._address[1])
            except OSError:
                self._lose(slot)
                continue
            self._slots.add(slot)
            self._selector.register(sock, selectors.EVENT_WRITE, slot)

    def _slot(self, connection: Connection) -> "_Slot":
        return _Slot(connection, is_plain=not self._peer.is_encrypted)

    def _on_connected(self, slot: "_Slot") -> bool:
        sock = slot.connection.sock
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise OSError(error, "not connected")
        context = self._pool.context_of(self._peer.server)
        self._selector.unregister(sock)
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=self._peer.host, do_handshake_on_connect=False)
            slot.connection.sock, slot.step = sock, self._on_handshake
        self._selector.register(sock, selectors.EVENT_READ, slot)
        if context is None:
            self._send(slot)
            return False
        return True

    def _on_handshake(self, slot: "_Slot") -> bool:
        cast("ssl.SSLSocket", slot.connection.sock).do_handshake()
        self._send(slot)
        return False

    def _join(self, slot: "_Slot", request: BatchRequest) -> None:
        slot.request = request
        slot.connection.sock.settimeout(0)
        self._slots.add(slot)
        self._selector.register(slot.connection.sock, selectors.EVENT_READ, slot)
        try:
            self._send(slot)
        except OSError:
            self._lose(slot)

    def _part(self, slot: "_Slot") -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(slot.connection.sock)
        self._slots.discard(slot)

    def _lose(self, slot: "_Slot") -> None:
        """Leave a request to be made by itself, and close its connection: nobody knows what that would bring next."""
        self._part(slot)
        slot.connection.close()
        self._left.append(slot.request)
        self._broken += 1
        if self._broken >= _BROKEN:
            self._stop()

    def _stop(self) -> None:
        """Send nothing more: what is under way comes, all else is left."""
        self._exhausted = True

    def _next(self) -> BatchRequest | None:
        if self._exhausted:
            return None
        request = next(self._requests, None)
        self._exhausted = request is None
        return request

    # -- waiting --------------------------------------------------------------------------------------------------

    def _wait(self) -> None:
        pause = min(1.0, self._timing.read_seconds / 4)
        begin = time.monotonic()
        ready = self._selector.select(pause)
        now = time.monotonic()
        self._waited += now - begin
        self._deadline = self._timing.deadline.anew()
        for key, _ in ready:
            slot = key.data
            slot.seen = now
            self._advance(slot)
        if now - self._looked > pause:
            self._look(now)
        if self._answers >= self._limit:
            self._widen(now)

    def _advance(self, slot: "_Slot") -> None:
        """Take steps until a connection has nothing more to read."""
        try:
            while slot.step(slot):
                pass
        except (BlockingIOError, ssl.SSLWantReadError):
            return
        except (OSError, ValueError):
            self._lose(slot)

    def _look(self, now: float) -> None:
        """Give up connections that say nothing, and all of it when the time of a request is over."""
        self._looked = now
        for slot in list(self._slots):
            slot.deadline.check(self._timing.where)
            patience = self._timing.read_seconds if slot.sent else self._timing.connect_seconds
            if now - slot.seen > patience:
                self._lose(slot)

    def _widen(self, now: float) -> None:
        """Allow more connections where the way to the server and back, not the work here, takes some of the time."""
        if self._waited > (now - self._since) * _IDLENESS:
            self._limit = min(self._most, 2 * self._limit)
        self._waited, self._answers, self._since = 0.0, 0, now

    # -- one request and its answer -------------------------------------------------------------------------------

    def _send(self, slot: "_Slot") -> None:
        target = slot.request.target
        number = "?" in target
        slot.begin(self._on_head, self._deadline)
        slot.connection.is_free = False
        sent = slot.connection.sock.send(b"GET " + target.encode("ascii") + self._behind[number])
        if sent != len(target) + len(self._behind[number]) + 4:
            raise OSError("a request did not go out in one piece")

    def _on_head(self, slot: "_Slot") -> bool:
        size = slot.request.size
        space = self._page_view[: size + _PAGE if size <= _AT_ONCE else _PAGE]
        received = slot.connection.sock.recv_into(space)
        if not received:
            raise OSError("closed before the head")
        came, view, size, start = self._page, self._page_view, received, 0
        if slot.came:
            slot.came += space[:received]
            came, view, size = slot.came, memoryview(slot.came), len(slot.came)
        while (end := came.find(b"\r\n\r\n", start, size)) >= 0:
            head = self._read_head(bytes(view[start:end]))
            start = end + 4
            if not head.is_interim:
                return self._on_answer(slot, head, view[start:size]) and (received == len(space) or not slot.is_plain)
            slot.interim += 1
            if slot.interim > INTERIM_LIMIT:
                raise ValueError("answers before the answer without end")
        if size - start > _HEAD_LIMIT:
            raise ValueError("a head without end")
        slot.came = bytearray(view[start:size])
        return True

    def _on_answer(self, slot: "_Slot", head: Head, rest: memoryview) -> bool:
        """Expect the body of an answer, whose beginning came with the head; whether there may be more to read."""
        slot.head = head
        if head.length is None or head.headers.get("content-encoding", "identity").lower() != "identity":
            raise ValueError("an answer for a single request")
        if head.status == _OK and head.length == slot.request.size:
            if len(rest) == head.length:
                return self._whole(slot, rest)
            slot.expect(head.length, slot.request.room(), self._on_body)
        elif head.length <= _SMALL:
            slot.small = bytearray(head.length)
            slot.expect(head.length, [memoryview(slot.small)], self._on_body)
        else:
            raise ValueError("an answer for a single request")
        slot.spill(rest)
        return self._whole(slot) if not slot.left else True

    def _read_head(self, text: bytes) -> Head:
        """Take a head apart. Those of chunks that come one after the other are mostly the same."""
        if self._last_head is None or self._last_head[0] != text:
            self._last_head = text, Head.of(text)
        return self._last_head[1]

    def _on_body(self, slot: "_Slot") -> bool:
        received, asked = slot.receive()
        if not received:
            raise OSError("closed within the body")
        slot.advance(received)
        if not slot.left:
            return self._whole(slot)
        # what is encrypted may have come already, unseen by the selector
        return received == asked or not slot.is_plain

    def _whole(self, slot: "_Slot", body: memoryview | None = None) -> bool:
        """Hand over what came and send the next request; there is nothing more to read."""
        request, head, small = slot.request, slot.head, slot.small
        self._answers += 1
        if small is not None and not request.settles(head.status, bytes(small)):
            self._left.append(request)
            self._stop()
        # the server works on the next one while this one is put in its place
        self._go_on(slot)
        if small is None:
            whole = request.arrived(head.headers) if body is None else request.at_once(head.headers, body)
            if not whole:
                self._left.append(request)
        return False

    def _go_on(self, slot: "_Slot") -> None:
        """Send the next request, if there is one, the server will hear it, and nothing came that nobody asked for."""
        slot.connection.was_used = True
        slot.connection.is_free = slot.head.stays_open and not slot.has_more()
        following = self._next() if slot.connection.is_free else None
        if following is not None:
            slot.request = following
            try:
                self._send(slot)
            except OSError:
                self._lose(slot)
            return
        self._part(slot)
        self._pool.keep(self._peer, slot.connection)


# where a byte behind a body shows
_BEHIND = memoryview(bytearray(1))


class _Slot:
    """A connection and what it is bringing."""

    __slots__ = (
        "came", "connection", "deadline", "head", "interim", "is_plain", "left", "request", "runs", "seen", "sent",
        "small", "spoiled", "step",
    )  # fmt: skip

    request: BatchRequest
    step: "Callable[[_Slot], bool]"
    deadline: Deadline
    head: Head
    #: Where the rest of the body goes, and how much of it there is.
    runs: list[memoryview]
    left: int

    def __init__(self, connection: Connection, *, is_plain: bool) -> None:
        self.connection = connection
        #: Whether what comes in is what the selector sees.
        self.is_plain = is_plain
        self.seen = time.monotonic()
        self.sent = False
        self.came = bytearray()
        self.small: bytearray | None = None
        self.interim = 0
        #: Whether more came than was announced.
        self.spoiled = False

    def begin(self, step: "Callable[[_Slot], bool]", deadline: Deadline) -> None:
        """Expect a head."""
        self.step = step
        self.deadline = deadline
        self.came = bytearray()
        self.small = None
        self.interim = 0
        self.sent = True
        self.seen = time.monotonic()

    def expect(self, size: int, runs: Iterable[memoryview], step: "Callable[[_Slot], bool]") -> None:
        """Expect a body that goes into ``runs``, one after the other."""
        self.left, self.step = size, step
        # the next one last
        self.runs = list(runs)[::-1] if size else []

    def receive(self) -> tuple[int, int]:
        """Put what has come in its place; how much came, and how much there was place for."""
        sock = self.connection.sock
        if not self.is_plain:
            return sock.recv_into(self.runs[-1]), len(self.runs[-1])
        runs = self.runs[: -_PIECES - 1 : -1]
        received = sock.recvmsg_into([*runs, _BEHIND] if len(runs) == len(self.runs) else runs)[0]
        self.spoiled = received > self.left
        return min(received, self.left), sum(map(len, runs))

    def has_more(self) -> bool:
        """Whether something is there that belongs to no answer."""
        return self.spoiled or (not self.is_plain and cast("ssl.SSLSocket", self.connection.sock).pending() > 0)

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
