"""Connections that are kept for the next request, by server and by who is asking: nobody gets another's."""

import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from wkfast._lazy import lazy_import
from wkfast.client import failures
from wkfast.client.connection import Connection, Request, Timing
from wkfast.client.errors import ConnectionFailedError
from wkfast.client.secret import NO_SECRETS, Secrets
from wkfast.client.urls import origin

if TYPE_CHECKING:
    import socket
    import ssl
    from urllib import request as urllib_request
else:
    socket = lazy_import("socket")
    urllib_request = lazy_import("urllib.request")

#: Connections that all batches of a pool may have together.
MOST_CONNECTIONS = 256
# connections to a server that stay open while nothing is read, and seconds until the others are closed
_KEPT, _SURPLUS_SECONDS = 16, 10.0
# idle connections over all servers and users: a service speaks for many
_MOST_IDLE = 512
# from this many connections on, a batch opens more only while it waits for the server
_CAUTIOUS = 64
_DEFAULT_PORTS = {"http": 80, "https": 443}
_FIRST_SUCCESS, _FIRST_REFUSAL = 200, 300


@dataclass(frozen=True)
class Peer:
    """A server, by its origin, and who is asking it."""

    server: str
    secrets: Secrets

    @property
    def host(self) -> str:
        """Name or address of the server."""
        return urlsplit(self.server).hostname or ""

    @property
    def port(self) -> int:
        """Port of the server."""
        parts = urlsplit(self.server)
        return parts.port or _DEFAULT_PORTS[parts.scheme]

    @property
    def is_encrypted(self) -> bool:
        """Whether connections are."""
        return self.server.startswith("https:")


class Pool:
    """Connections by peer, each used by one thread at a time.

    Parameters
    ----------
    trusted
        Makes the context for TLS, when it is first needed.

    Attributes
    ----------
    reached
        Origins that have answered to a knock at least once.
    """

    def __init__(self, trusted: "Callable[[], ssl.SSLContext]") -> None:
        self.reached: set[str] = set()
        self._trusted = trusted
        self._ssl: ssl.SSLContext | None = None
        self._idle: dict[Peer, list[Connection]] = {}
        self._proxies: dict[str, SplitResult | None] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._reserved = 0
        self._widths: dict[str, int] = {}
        self._closer: threading.Timer | None = None
        self._used = 0.0

    # -- ways -----------------------------------------------------------------------------------------------------

    def proxy_of(self, server: str) -> SplitResult | None:
        """Return the proxy that the environment puts before a server, if any."""
        if server not in self._proxies:
            parts = urlsplit(server)
            proxies = urllib_request.getproxies()
            proxy = proxies.get(parts.scheme) or proxies.get("all")
            if proxy and urllib_request.proxy_bypass(parts.hostname or ""):
                proxy = None
            self._proxies[server] = _proxy(proxy) if proxy else None
        return self._proxies[server]

    def leads_to(self, url: str) -> bool:
        """Whether this pool has a way to a URL: straight, or by a plain HTTP proxy that asks for no password."""
        proxy = self.proxy_of(origin(url))
        return proxy is None or (proxy.scheme == "http" and bool(proxy.hostname) and proxy.username is None)

    def leads_straight_to(self, url: str) -> bool:
        """Whether no proxy stands before a URL's server."""
        return self.proxy_of(origin(url)) is None

    def connections(self, peer: Peer, timing: Timing) -> Iterator[Connection]:
        """Yield connections that were kept, then a new one: what was kept the server may have closed.

        Raises
        ------
        ConnectionFailedError
            None could be opened.
        """
        while (connection := self.idle(peer)) is not None:
            yield connection
        yield self.connected(peer, timing)

    def connected(self, peer: Peer, timing: Timing) -> Connection:
        """Return a new connection.

        Raises
        ------
        ConnectionFailedError
            It could not be opened.
        """
        try:
            connection = self._opened(peer, timing)
        except (OSError, ValueError) as error:
            timing.deadline.check(timing.where)
            failure = failures.unconnected(timing.where, error)
        else:
            self.reached.add(peer.server)
            return connection
        raise failure

    def _opened(self, peer: Peer, timing: Timing) -> Connection:
        proxy = self.proxy_of(peer.server)
        host, port = (peer.host, peer.port) if proxy is None else (proxy.hostname or "", proxy.port or 80)
        sock = socket.create_connection((host, port), timing.connecting())
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if proxy is not None and peer.is_encrypted:
                _pass(Connection(sock), peer, timing)
            context = self.context_of(peer.server)
            if context is not None:
                sock.settimeout(timing.connecting())
                sock = context.wrap_socket(sock, server_hostname=peer.host)
        except BaseException:
            sock.close()
            raise
        return Connection(sock, proxied_to=peer.server if proxy is not None and not peer.is_encrypted else None)

    def context_of(self, server: str) -> "ssl.SSLContext | None":
        """Return what encrypts the connections to a server, ``None`` if nothing does."""
        if not server.startswith("https:"):
            return None
        with self._lock:
            if self._ssl is None:
                self._ssl = self._trusted()
            return self._ssl

    # -- what is kept ---------------------------------------------------------------------------------------------

    def idle(self, peer: Peer) -> Connection | None:
        """Return a connection that lies idle and is still open, if there is one."""
        while taken := self._taken(peer, 1):
            if quiet := _quiet(taken):
                return quiet[0]
        return None

    def several(self, peer: Peer, count: int) -> list[Connection]:
        """Return up to `count` connections that lie idle and are still open."""
        return _quiet(self._taken(peer, count))

    def _taken(self, peer: Peer, count: int) -> list[Connection]:
        with self._lock:
            idle = self._idle.get(peer, [])
            taken = idle[-count:]
            del idle[-count:]
            if not idle:
                self._idle.pop(peer, None)
        return taken

    def keep(self, peer: Peer, connection: Connection) -> None:
        """Take a connection back, for the next request of the same peer if there may be one; else close it."""
        surplus = [connection]
        with self._lock:
            if not self._closed and connection.is_free:
                self._idle.setdefault(peer, []).append(connection)
                surplus = self._beyond(_MOST_IDLE)
        _close(surplus)

    def _beyond(self, most: int) -> list[Connection]:
        """Take out the oldest idle connection of the peer that was first to leave one, if there are too many."""
        if sum(map(len, self._idle.values())) <= most:
            return []
        peer, idle = next(iter(self._idle.items()))
        oldest = idle.pop(0)
        if not idle:
            del self._idle[peer]
        return [oldest]

    def close(self) -> None:
        """Close the connections that lie idle, and those in use when they are done."""
        with self._lock:
            idle, self._idle, self._closed = self._idle, {}, True
            closer, self._closer = self._closer, None
        if closer is not None:
            closer.cancel()
            closer.join()
        for connections in idle.values():
            _close(connections)

    def leave_to_parent(self) -> None:
        """Forget all connections in a forked process; closing them here leaves the parent's open."""
        self._lock, self._closer = threading.Lock(), None
        self.close()
        self._closed = False
        self._reserved = 0

    # -- how many a batch may have --------------------------------------------------------------------------------

    def reserve(self, wanted: int) -> int:
        """Return how many connections a batch may have: what others leave of all there may be, at least one."""
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
        surplus: list[Connection] = []
        with self._lock:
            if self._closer is not threading.current_thread():
                return
            self._closer, rest = None, self._used + _SURPLUS_SECONDS - time.monotonic()
            if rest > 0 and not self._reserved:
                # another batch has come and gone meanwhile; one that is under way starts this anew at its end
                self._close_in(rest)
            elif not self._reserved:
                for idle in self._idle.values():
                    surplus += idle[:-_KEPT]
                    del idle[:-_KEPT]
        _close(surplus)

    def width(self, server: str) -> int:
        """Return how many connections to a server served the last batch well; cautious before the first."""
        return self._widths.get(server, _CAUTIOUS)

    def note_width(self, server: str, width: int) -> None:
        """Remember with how many connections a batch to a server ended."""
        self._widths[server] = max(width, self.width(server))


def _proxy(text: str) -> SplitResult:
    """Return the parts of a proxy's URL."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        _ = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError as error:
        reason = type(error).__name__
    else:
        return parts
    raise failures.bad_proxy(reason)


def _pass(connection: Connection, peer: Peer, timing: Timing) -> None:
    """Have a proxy lead a connection through to a server."""
    name = f"{peer.host if ':' not in peer.host else f'[{peer.host}]'}:{peer.port}"
    connection.send(Request("CONNECT", f"http://{name}", name, {}, NO_SECRETS), timing)
    head = connection.head(timing)
    if not _FIRST_SUCCESS <= head.status < _FIRST_REFUSAL or connection.has_unread():
        raise ConnectionFailedError(f"{timing.where}: the proxy answered {head.status}", sent=False)


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        connection.close()


def _quiet(connections: list[Connection]) -> list[Connection]:
    """Return those of idle connections that are open and silent.

    One that has something to read was closed by the server, or brings what nobody asked for.
    """
    poll, numbers = select.poll(), [connection.sock.fileno() for connection in connections]
    for number in numbers:
        if number >= 0:
            poll.register(number, select.POLLIN)
    loud = {number for number, _ in poll.poll(0)}
    quiet = []
    for number, connection in zip(numbers, connections, strict=True):
        if number < 0 or number in loud:
            with suppress(OSError):
                connection.close()
        else:
            quiet.append(connection)
    return quiet
