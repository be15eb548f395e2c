"""A quick road for many small GETs: kept-alive connections of the standard library's HTTP client.

It costs a fifth of the processor time that httpx takes for a request, which is what bounds the rate of chunks. It knows
no redirects, proxies, encodings or retries; :class:`~wkfast.client.session.Session` keeps the rules and takes the long
road wherever this one does not lead.
"""

import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from wkfast._lazy import lazy_import
from wkfast.client import failures
from wkfast.client.errors import AnswerTooLargeError, ClientError
from wkfast.client.retry import Deadline
from wkfast.client.urls import origin

if TYPE_CHECKING:
    import ssl
    from http import client as http_client
    from urllib import request as urllib_request
else:
    http_client = lazy_import("http.client")
    urllib_request = lazy_import("urllib.request")

T = TypeVar("T")

_BLOCK = 1 << 20
_REFUSAL = 300
# of the page that comes with a refusal
_SAID = 64 << 10
#: Connections that all convoys of a lane may have together.
MOST_CONNECTIONS = 256
# connections to a server that stay open while nothing is read, and seconds until the others are closed
_KEPT, _SURPLUS_SECONDS = 16, 10.0
# from this many connections on, a convoy opens more only while it waits for the server
_CAUTIOUS = 64


@dataclass(frozen=True)
class Wanted:
    """One GET. Seconds are those of a phase; the deadline bounds the whole."""

    url: str
    where: str
    headers: Mapping[str, str] = field(repr=False)
    connect_seconds: float
    read_seconds: float
    deadline: Deadline
    limit: int


@dataclass(frozen=True)
class Got:
    """What came, whatever its status. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class Lane:
    """Connections by origin, each used by one thread at a time.

    Parameters
    ----------
    trusted
        Makes the context for TLS, when it is first needed.
    """

    def __init__(self, trusted: "Callable[[], ssl.SSLContext]") -> None:
        self._trusted = trusted
        self._ssl: ssl.SSLContext | None = None
        self._idle: dict[str, list[http_client.HTTPConnection]] = {}
        self._leads_to: dict[str, bool] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._reserved = 0
        self._widths: dict[str, int] = {}
        self._closer: threading.Timer | None = None
        self._used = 0.0

    def leads_to(self, url: str) -> bool:
        """Whether no proxy stands before the URL's server."""
        server = origin(url)
        if server not in self._leads_to:
            scheme, host = urlsplit(server).scheme, urlsplit(server).hostname or ""
            proxies = urllib_request.getproxies()
            proxied = scheme in proxies or "all" in proxies
            self._leads_to[server] = not proxied or bool(urllib_request.proxy_bypass(host))
        return self._leads_to[server]

    def get(self, wanted: Wanted) -> Got:
        """Return the answer to one request.

        Raises
        ------
        TransportError
            It did not come, or not whole.
        AnswerTooLargeError
            Its body is longer than the limit.
        """
        server = origin(wanted.url)
        connection, used = self.take(server, wanted)

        def exchange() -> Got | None:
            try:
                return self._exchange(connection, wanted)
            except (ConnectionError, http_client.RemoteDisconnected):
                if not used:
                    raise
            return None

        got = _closed_if_broken(connection, wanted, exchange)
        if got is None:
            # the server had closed a connection that lay idle; a new one tells whether it is there
            connection.close()
            return self.get(wanted)
        self.keep(server, connection)
        return got

    def stream(self, wanted: Wanted, first_byte_seconds: float) -> "Stream":
        """Return the answer to one request over a connection of its own, its body unread.

        Raises
        ------
        TransportError
            No answer came.
        """
        connection = self._connected(origin(wanted.url), wanted)

        def ask() -> Stream:
            connection.sock.settimeout(first_byte_seconds)
            # the sock attribute is gone once the response owns the connection
            sock = connection.sock
            response = self._asked(connection, wanted)
            sock.settimeout(wanted.read_seconds)
            return Stream(connection, response, wanted.where)

        return _closed_if_broken(connection, wanted, ask)

    def close(self) -> None:
        """Close the connections that lie idle, and those in use when they are done."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, {}, True
            closer, self._closer = self._closer, None
        if closer is not None:
            closer.cancel()
            closer.join()
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def leave_to_parent(self) -> None:
        """Forget all connections in a forked process; closing them here leaves the parent's open."""
        self._lock, self._closer = threading.Lock(), None
        self.close()
        self._closed = False
        self._reserved = 0

    def take(self, server: str, wanted: Wanted) -> "tuple[http_client.HTTPConnection, bool]":
        """Return a connection, and whether it has been used before.

        Raises
        ------
        ConnectionFailedError
            There was none, and none could be made.
        """
        connection = self.idle(server)
        if connection is None:
            return self._connected(server, wanted), False
        connection.sock.settimeout(wanted.read_seconds)
        return connection, True

    def idle(self, server: str) -> "http_client.HTTPConnection | None":
        """Return a connection that lies idle and is still open, if there is one."""
        while taken := self._taken(server, 1):
            if quiet := _quiet(taken):
                return quiet[0]
        return None

    def several(self, server: str, count: int) -> "list[http_client.HTTPConnection]":
        """Return up to `count` connections that lie idle and are still open."""
        return _quiet(self._taken(server, count))

    def _taken(self, server: str, count: int) -> "list[http_client.HTTPConnection]":
        with self._lock:
            idle = self._idle.get(server, [])
            taken = idle[-count:]
            del idle[-count:]
        return taken

    def keep(self, server: str, connection: "http_client.HTTPConnection") -> None:
        """Take back a connection whose answer has been read to its end."""
        with self._lock:
            if not self._closed and connection.sock is not None:
                self._idle.setdefault(server, []).append(connection)
                return
        connection.close()

    def reserve(self, wanted: int) -> int:
        """Return how many connections a convoy may have: what others leave of all there may be, at least one."""
        with self._lock:
            granted = max(1, min(wanted, MOST_CONNECTIONS - self._reserved))
            self._reserved += granted
            return granted

    def give_back(self, granted: int) -> None:
        """End a reservation. Of the connections that a wide read leaves, all but a few are closed after a while."""
        with self._lock:
            self._reserved -= granted
            self._used = time.monotonic()
            if self._closer is None and not self._closed and any(len(idle) > _KEPT for idle in self._idle.values()):
                self._close_in(_SURPLUS_SECONDS)

    def _close_in(self, seconds: float) -> None:
        self._closer = threading.Timer(seconds, self._close_surplus)
        self._closer.daemon = True
        self._closer.start()

    def _close_surplus(self) -> None:
        surplus: list[http_client.HTTPConnection] = []
        with self._lock:
            if self._closer is not threading.current_thread():
                return
            self._closer, rest = None, self._used + _SURPLUS_SECONDS - time.monotonic()
            if rest > 0 and not self._reserved:
                # another convoy has come and gone meanwhile; one that is under way starts this anew at its end
                self._close_in(rest)
            elif not self._reserved:
                for idle in self._idle.values():
                    surplus += idle[:-_KEPT]
                    del idle[:-_KEPT]
        for connection in surplus:
            connection.close()

    def width(self, server: str) -> int:
        """Return how many connections to a server served the last convoy well; cautious before the first."""
        return self._widths.get(server, _CAUTIOUS)

    def note_width(self, server: str, width: int) -> None:
        """Remember with how many connections a convoy to a server ended."""
        self._widths[server] = max(width, self.width(server))

    def unconnected(self, server: str) -> "http_client.HTTPConnection":
        """Return a connection without a socket: as soon as it has one it is like all others."""
        parts = urlsplit(server)
        context = self.context_for(server)
        if context is not None:
            return http_client.HTTPSConnection(parts.hostname or "", parts.port, context=context)
        return http_client.HTTPConnection(parts.hostname or "", parts.port)

    def context_for(self, server: str) -> "ssl.SSLContext | None":
        """Return what encrypts the connections to a server, ``None`` if nothing does."""
        if not server.startswith("https:"):
            return None
        with self._lock:
            if self._ssl is None:
                self._ssl = self._trusted()
            return self._ssl

    def _connected(self, server: str, wanted: Wanted) -> "http_client.HTTPConnection":
        connection = self.unconnected(server)
        connection.timeout = wanted.connect_seconds
        try:
            connection.connect()
        except OSError as error:
            connection.close()
            failure = failures.unconnected(wanted.where, error)
        else:
            connection.sock.settimeout(wanted.read_seconds)
            return connection
        raise failure

    @staticmethod
    def _asked(connection: "http_client.HTTPConnection", wanted: Wanted) -> "http_client.HTTPResponse":
        parts = urlsplit(wanted.url)
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request("GET", target, headers=dict(wanted.headers))
        return connection.getresponse()

    def _exchange(self, connection: "http_client.HTTPConnection", wanted: Wanted) -> Got:
        response = self._asked(connection, wanted)
        if response.status >= _REFUSAL:
            body = _beginning(response, wanted)
            response.close()
            if response.length != 0:
                # what is left of it would be taken for the next answer
                connection.close()
        else:
            body = _body(response, wanted)
        return Got(response.status, {name.lower(): value for name, value in response.getheaders()}, body)


class Stream:
    """An answer whose body is still to be read. Header names are in lower case."""

    def __init__(
        self, connection: "http_client.HTTPConnection", response: "http_client.HTTPResponse", where: str
    ) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self._connection = connection
        self._response = response
        self._where = where

    def blocks(self) -> Iterator[bytes]:
        """Yield the body as it arrives.

        Raises
        ------
        TransportError
            It ends before its stated length, or nothing comes any more.
        """
        try:
            while block := self._response.read1(_BLOCK):
                yield block
            if self._response.length:
                raise http_client.IncompleteRead(b"", self._response.length)
        except (OSError, http_client.HTTPException, ValueError) as error:
            failure = failures.broken(self._where, error)
        else:
            return
        # outside of the except block: nothing of the request hangs on the error
        raise failure

    def close(self) -> None:
        """Close the connection."""
        self._response.close()
        self._connection.close()


def _closed_if_broken(connection: "http_client.HTTPConnection", wanted: Wanted, work: Callable[[], T]) -> T:
    """Return what `work` returns; where it fails the connection is closed, and what is said is ours."""
    try:
        return work()
    except (OSError, http_client.HTTPException) as error:
        connection.close()
        failure = failures.broken(wanted.where, error)
    except BaseException:
        connection.close()
        raise
    # outside of the except block: nothing of the request hangs on the error
    raise failure


def _body(response: "http_client.HTTPResponse", wanted: Wanted) -> bytes:
    if (response.length or 0) > wanted.limit:
        raise _too_large(wanted)
    blocks, size = [], 0
    while block := response.read1(_BLOCK):
        blocks.append(block)
        size += len(block)
        if size > wanted.limit:
            raise _too_large(wanted)
        wanted.deadline.check(wanted.where)
    if response.length:
        raise http_client.IncompleteRead(b"", response.length)
    # the connection is free for the next request only now
    response.close()
    return b"".join(blocks)


def _beginning(response: "http_client.HTTPResponse", wanted: Wanted) -> bytes:
    """Return what a refusal says, not without end."""
    start = b""
    while len(start) < _SAID and (block := response.read1(_SAID)):
        start += block
        wanted.deadline.check(wanted.where)
    return start[:_SAID]


def _too_large(wanted: Wanted) -> ClientError:
    return AnswerTooLargeError(f"{wanted.where}: the answer is larger than {wanted.limit} bytes")


def _quiet(connections: "list[http_client.HTTPConnection]") -> "list[http_client.HTTPConnection]":
    """Return those of idle connections that are open: one that has something to read was closed by the server."""
    poll, numbers = select.poll(), [connection.sock.fileno() for connection in connections]
    for number in numbers:
        if number >= 0:
            poll.register(number, select.POLLIN)
    loud = {number for number, _ in poll.poll(0)}
    quiet = []
    for number, connection in zip(numbers, connections, strict=True):
        if number < 0 or number in loud:
            connection.close()
        else:
            quiet.append(connection)
    return quiet
