"""Connections to servers: pooled, kept alive, with limits, redirects and retries. One per process is enough.

A session knows no identity. Each call carries its token, so one pool serves many contexts and threads, and a redirect
to another origin goes without it.
"""

import functools
import logging
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar
from urllib.parse import urlencode, urljoin, urlsplit

from wkfast._lazy import lazy_import
from wkfast.client import failures
from wkfast.client.convoy import Convoy, Parcel
from wkfast.client.errors import ClientError, UnexpectedAnswerError
from wkfast.client.exchange import Answer, Call, CarefulIncoming, Incoming, QuickIncoming, http_errors
from wkfast.client.lane import Lane, Wanted
from wkfast.client.retry import Clock, Deadline, RetryPolicy, with_retries
from wkfast.client.secret import Secret
from wkfast.client.urls import is_url, origin, shown

if TYPE_CHECKING:
    import ssl
    from http import cookiejar
    from importlib import metadata

    import certifi
    import httpx
else:
    certifi = lazy_import("certifi")
    cookiejar = lazy_import("http.cookiejar")
    httpx = lazy_import("httpx")
    metadata = lazy_import("importlib.metadata")
    ssl = lazy_import("ssl")

JSON_LIMIT = 256 << 20
_ERROR_BODY_LIMIT = 64 << 10
_REDIRECT_LIMIT = 5
_FIRST_REFUSAL = 300
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_READING = frozenset({"GET", "HEAD"})

T = TypeVar("T")


@dataclass(frozen=True)
class Timeouts:
    """Seconds for each phase of one attempt. The total over all attempts belongs to the call."""

    connect: float = 10.0
    read: float = 60.0
    #: Until the answer starts, where the server has to build it first: downloads and uploads.
    first_byte: float = 300.0
    write: float = 60.0
    pool: float = 30.0


_sessions: "weakref.WeakSet[Session]" = weakref.WeakSet()


class Session:
    """A pool of connections, used by any number of threads until it is closed.

    Parameters
    ----------
    transport
        Replaces the network: an ``httpx.MockTransport``, an ASGI or WSGI application, a recorder.
    timeouts, retry, clock
        Patience. A test hands in its own clock and waits for nothing.
    max_connections
        Connections open at once, over all origins.
    """

    def __init__(
        self,
        *,
        transport: "httpx.BaseTransport | None" = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        max_connections: int = 64,
    ) -> None:
        self.timeouts = timeouts or Timeouts()
        self.retry = retry or RetryPolicy()
        self.clock = clock or Clock()
        self._transport = transport
        self._max_connections = max_connections
        self._client: httpx.Client | None = None
        self._closed = False
        self._lock = threading.Lock()
        self._memory: dict[object, object] = {}
        self._memory_locks: dict[object, threading.Lock] = {}
        self._left_to_parent: list[httpx.Client] = []
        self._lane = Lane(_trusted)
        _sessions.add(self)

    def close(self) -> None:
        """Close all connections. Further calls raise ``RuntimeError``; closing twice does no harm."""
        with self._lock:
            client, self._client, self._closed = self._client, None, True
        if client is not None:
            client.close()
        self._lane.close()

    def leave_to_parent(self) -> None:
        """Start anew in a forked process: two processes on one socket would read each other's answers."""
        if self._client is not None:
            # kept, because collecting it would close what the parent still uses for TLS
            self._left_to_parent.append(self._client)
        self._client = None
        self._lane.leave_to_parent()
        # another thread of the parent may have held them
        self._lock, self._memory_locks = threading.Lock(), {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def deadline(self, call: Call) -> Deadline:
        """Return the deadline of a call that starts now."""
        return Deadline(self.clock, call.total)

    def remembered(self, key: object, make: Callable[[], T]) -> T:
        """Return ``make()``, called once per ``key`` for the life of the session; a failure is not remembered."""
        with self._lock:
            lock = self._memory_locks.setdefault(key, threading.Lock())
        with lock:
            if key not in self._memory:
                self._memory[key] = make()
            return self._memory[key]  # type: ignore[return-value]

    def recalled(self, key: object, default: T) -> T:
        """Return what is remembered or noted under a key."""
        return self._memory.get(key, default)  # type: ignore[return-value]

    def note(self, key: object, value: object) -> None:
        """Keep a value for :meth:`recalled`, in place of an older one."""
        self._memory[key] = value

    def send(self, call: Call, *, limit: int = JSON_LIMIT) -> Answer:
        """Return the whole answer to a call, repeated as its rule allows.

        Raises
        ------
        ResponseError
            The server refused.
        AnswerTooLargeError
            The body is larger than ``limit`` bytes.
        TransportError
            No attempt brought a whole answer.
        """
        deadline = self.deadline(call)

        def attempt() -> Answer:
            quick = self._quick_answer(call, deadline, limit)
            if quick is not None:
                return quick
            with self.exchange(call, deadline) as incoming:
                return Answer(incoming.status, incoming.headers, incoming.read(limit, deadline), call.where)

        return self.repeat(call, deadline, attempt)

    def _quick_answer(self, call: Call, deadline: Deadline, limit: int) -> Answer | None:
        """Return the answer to a small call, ``None`` if it takes the long road: a proxy, a redirect, an encoding."""
        if not call.small or not self.is_quick(call.url):
            return None
        got = self._lane.get(self._wanted(call, deadline, limit))
        if got.status in _REDIRECTS or got.headers.get("content-encoding", "identity").lower() != "identity":
            return None
        if got.status < _FIRST_REFUSAL:
            return Answer(got.status, got.headers, got.body, call.where)
        body, now = got.body[:_ERROR_BODY_LIMIT], self.clock.time()
        raise failures.refusal(call.where, got.status, got.headers, body, secrets=call.secrets, now=now)

    def _wanted(self, call: Call, deadline: Deadline, limit: int) -> Wanted:
        deadline.check(call.where)
        remaining = deadline.remaining()
        url = f"{call.url}?{urlencode(_whole_query(call))}" if call.query or call.secret_query else call.url
        headers = {"user-agent": _user_agent(), "accept": "*/*", **_headers(call, call.token)}
        connect, read = min(self.timeouts.connect, remaining), min(self.timeouts.read, remaining)
        return Wanted(url, call.where, headers, connect, read, deadline, limit)

    def is_quick(self, url: str) -> bool:
        """Whether :meth:`convoy` brings anything from a URL: no proxy in between, nothing in place of the network."""
        return self._transport is None and not self._closed and self._lane.leads_to(url)

    def convoy(
        self,
        call: Call,
        parcels: Iterable[Parcel],
        *,
        concurrency: int,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> Iterator[Parcel]:
        """Fetch many small bodies at once and return those that did not come: ask for them one by one.

        Parameters
        ----------
        call
            Stands for each: its origin, token, headers and total time are theirs.
        meanwhile
            Called once, while the first requests are on their way.
        """
        if not self.is_quick(call.url):
            return iter(parcels)
        return Convoy(self._lane, self._wanted(call, self.deadline(call), 0), concurrency).run(parcels, meanwhile)

    def repeat(self, call: Call, deadline: Deadline, attempt: Callable[[], T]) -> T:
        """Return what ``attempt`` returns, repeated by the call's rule."""
        retries = self.retry.retries if call.retries is None else call.retries
        policy = RetryPolicy(retries, self.retry.base, self.retry.ceiling, self.retry.retry_after_ceiling)
        return with_retries(attempt, policy=policy, clock=self.clock, deadline=deadline, may_repeat=call.may_repeat)

    @contextmanager
    def exchange(self, call: Call, deadline: Deadline) -> Iterator[Incoming]:
        """Make one attempt and yield the successful answer, its body unread."""
        incoming = self._follow(call, deadline)
        try:
            yield incoming
        finally:
            incoming.close()

    def _quick_incoming(self, call: Call, deadline: Deadline) -> Incoming | None:
        """Return the answer to a download, ``None`` if it takes the long road: a proxy, an encoding."""
        if not call.slow_start or call.method != "GET" or not self.is_quick(call.url):
            return None
        patience = min(self.timeouts.first_byte, deadline.remaining())
        incoming = QuickIncoming(self._lane.stream(self._wanted(call, deadline, 0), patience), call.where)
        if not incoming.is_encoded:
            return incoming
        incoming.close()
        return None

    def _follow(self, call: Call, deadline: Deadline) -> Incoming:
        """Return the first answer that is no redirect, if it is a success."""
        url, token = call.url, call.token
        query = _whole_query(call)
        for hop in range(_REDIRECT_LIMIT + 1):
            deadline.check(call.where)
            quick = None if hop else self._quick_incoming(call, deadline)
            incoming = quick or self._open(call, url, query, token, deadline)
            if incoming.is_success:
                return incoming
            with closing(incoming):
                location = incoming.headers.get("location", "")
                if incoming.status not in _REDIRECTS or not location:
                    raise self._refusal(call, url, incoming)
            url, query = _redirected(call, url, location), {}
            # once elsewhere, always without: a way back was chosen by the other origin
            token = token if origin(url) == origin(call.url) else None
        raise UnexpectedAnswerError(f"{call.where}: more than {_REDIRECT_LIMIT} redirects")

    def _open(self, call: Call, url: str, query: dict[str, str], token: Secret | None, deadline: Deadline) -> Incoming:
        client = self._http()
        headers = _headers(call, token)
        remaining = deadline.remaining()
        patience = self.timeouts
        timeout = httpx.Timeout(
            connect=min(patience.connect, remaining),
            read=min(patience.first_byte if call.slow_start else patience.read, remaining),
            write=min(patience.write, remaining),
            pool=min(patience.pool, remaining),
        )
        content = None if call.body is None else call.body()
        try:
            request = client.build_request(
                call.method, url, params=query or None, headers=headers, content=content, timeout=timeout
            )
            return CarefulIncoming(client.send(request, stream=True), call.where, self.timeouts.read)
        except http_errors() as error:
            failure = failures.transport_failure(call.where, error)
        # outside of the except block: the exception of httpx holds the request, and with it the token
        raise failure

    def _refusal(self, call: Call, url: str, incoming: Incoming) -> ClientError:
        where = call.where if url == call.url else f"{call.where} (redirected to {shown(url)})"
        body = incoming.beginning(_ERROR_BODY_LIMIT)
        return failures.refusal(
            where, incoming.status, incoming.headers, body, secrets=call.secrets, now=self.clock.time()
        )

    def _http(self) -> "httpx.Client":
        with self._lock:
            if self._closed:
                raise RuntimeError("this session is closed")
            if self._client is None:
                self._client = self._new_client()
            return self._client

    def _new_client(self) -> "httpx.Client":
        limits = httpx.Limits(max_connections=self._max_connections, max_keepalive_connections=self._max_connections)
        logging.getLogger("httpx").addFilter(_hide_queries)
        return httpx.Client(
            transport=self._transport,
            verify=_trusted() if self._transport is None else True,
            limits=limits,
            follow_redirects=False,
            # one pool serves many identities, so no server may tie one to it
            cookies=cookiejar.CookieJar(cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            headers={"user-agent": _user_agent(), "accept": "*/*"},
        )


def _trusted() -> "ssl.SSLContext":
    """Return a context that trusts the system's store, ``SSL_CERT_FILE`` and certifi's list."""
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context


def _headers(call: Call, token: Secret | None) -> dict[str, str]:
    headers = {"accept-encoding": "identity", **call.headers}
    if token is not None:
        headers["x-auth-token"] = token.reveal()
    return headers


def _whole_query(call: Call) -> dict[str, str]:
    return {**call.query, **{key: value.reveal() for key, value in call.secret_query.items()}}


@functools.cache
def _user_agent() -> str:
    try:
        return f"wkfast/{metadata.version('wkfast')}"
    except metadata.PackageNotFoundError:
        return "wkfast/0"


def _hide_queries(record: logging.LogRecord) -> bool:
    """Cut queries out of the lines that httpx logs: they may hold a sharing token."""
    if isinstance(record.args, tuple):
        record.args = tuple(shown(str(arg)) if isinstance(arg, httpx.URL) else arg for arg in record.args)
    return True


def _redirected(call: Call, url: str, location: str) -> str:
    """Return where a redirect leads, or raise if it may not be followed."""
    try:
        target = urljoin(url, location)
        sound = is_url(target) and bool(origin(target))
    except ValueError:
        target, sound = location, False
    downgraded = urlsplit(url).scheme == "https" and not target.lower().startswith("https:")
    if not sound or downgraded:
        raise UnexpectedAnswerError(f"{call.where}: redirected to {shown(target)}, which is not followed")
    if call.method not in _READING:
        raise UnexpectedAnswerError(
            f"{call.where}: redirected to {shown(target)}; data is not sent on. "
            "Use that server's URL (WK_URL) if it is the right one"
        )
    return target


def _after_fork() -> None:
    for session in list(_sessions):
        session.leave_to_parent()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
