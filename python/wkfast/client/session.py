"""Calls to servers: connections that are kept, limits, one deadline, redirects, repetition. One per process is enough.

A session knows no identity. Each call carries its secrets; a redirect to another origin goes without them. What has no
body is sent by the core, see :mod:`wkfast.client.fetcher`; all else, what exotic proxies stand before, and what a test
puts in place of the network, goes over httpx.
"""

import atexit
import functools
import logging
import os
import threading
import weakref
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import urljoin, urlsplit

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.client import failures
from wkfast.client.call import Answer, Batch, Call, Incoming, target_of
from wkfast.client.errors import (
    ClientError,
    ClientTimeoutError,
    UnexpectedAnswerError,
)
from wkfast.client.fetcher import Fetcher
from wkfast.client.retry import Clock, Deadline, RetryPolicy, Timing, with_retries
from wkfast.client.secret import NO_SECRETS, Secrets
from wkfast.client.urls import is_url, origin, shown

if TYPE_CHECKING:
    import ssl
    from http import cookiejar

    import certifi
    import httpx
else:
    certifi = lazy_import("certifi")
    cookiejar = lazy_import("http.cookiejar")
    httpx = lazy_import("httpx")
    ssl = lazy_import("ssl")

JSON_LIMIT = 256 << 20
# not by importlib.metadata: looking for the package takes longer than a request
_USER_AGENT = f"wkfast/{_core.__version__}"
_ERROR_BODY_LIMIT = 64 << 10
_REDIRECT_LIMIT = 5
# seconds after which progress is reported and the time looked at while a file comes
_MOMENT = 0.1
_READING = frozenset({"GET", "HEAD"})
# further attempts where a server has never been reached: most likely its name is wrong, and somebody is waiting
_UNREACHED_RETRIES = 2

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
        Connections of httpx open at once.
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
        self._clients: dict[bool, httpx.Client] = {}
        self._closed = False
        self._lock = threading.Lock()
        self._memory: dict[object, object] = {}
        self._memory_locks: dict[object, threading.Lock] = {}
        self._left_to_parent: list[httpx.Client] = []
        self._fetcher = Fetcher()
        _sessions.add(self)

    def close(self) -> None:
        """Close all connections. Further calls raise ``RuntimeError``; closing twice does no harm."""
        with self._lock:
            clients, self._clients, self._closed = self._clients, {}, True
        for client in clients.values():
            client.close()
        self._fetcher.close()

    def leave_to_parent(self) -> None:
        """Start anew in a forked process: two processes on one socket would read each other's answers."""
        # kept, because collecting them would close what the parent still uses for TLS
        self._left_to_parent += self._clients.values()
        self._clients = {}
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

    # -- calls ----------------------------------------------------------------------------------------------------

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
            with self.answered(call, deadline) as incoming:
                return Answer(incoming.status, incoming.headers, incoming.read(limit), call.where)

        return self.repeat(call, deadline, attempt)

    def repeat(self, call: Call, deadline: Deadline, attempt: Callable[[], T]) -> T:
        """Return what ``attempt`` returns, repeated by the call's rule."""
        retries = self.retry.retries if call.retries is None else call.retries

        def retries_after(error: ClientError) -> int:
            unreached = not error.sent and origin(call.url) not in self._fetcher.reached
            if not call.may_repeat(error) or (unreached and isinstance(error, ClientTimeoutError)):
                return 0
            return _UNREACHED_RETRIES if unreached else retries

        policy = replace(self.retry, retries=retries)
        return with_retries(attempt, policy=policy, clock=self.clock, deadline=deadline, retries_after=retries_after)

    @contextmanager
    def answered(self, call: Call, deadline: Deadline) -> Iterator[Incoming]:
        """Make one attempt and yield the successful answer, its body unread."""
        with closing(self._follow(call, deadline)) as incoming:
            incoming.check_encoding(call.headers.get("accept-encoding", "identity"))
            yield incoming

    def is_quick(self, url: str) -> bool:
        """Whether :meth:`batch` brings anything from a URL: no proxy in between, nothing in place of the network."""
        return self._transport is None and not self._closed and self._fetcher.leads_straight_to(url)

    def batch(self, call: Call, batch: Batch) -> list[int]:
        """Fetch many bodies at once and return the numbers of the requests that brought none: make them one by one.

        Parameters
        ----------
        call
            Stands for each request: its origin, secrets, headers and total time are theirs.
        batch
            The requests, and where their bodies go.

        Raises
        ------
        ClientTimeoutError
            The total time of a request is over.
        """
        if not self.is_quick(call.url):
            return list(range(len(batch.wanted)))
        timing, server = self._timing(call, call.where, self.deadline(call)), origin(call.url)
        request = self._fetcher.request("GET", server, _all_headers(call), call.secrets, timing)
        return self._fetcher.batch(request, server, batch, timing)

    def _follow(self, call: Call, deadline: Deadline) -> Incoming:
        """Return the first answer that is no redirect, if it is a success."""
        url, query, secrets = call.url, call.query, call.secrets
        for _ in range(_REDIRECT_LIMIT + 1):
            deadline.check(call.where)
            incoming = self._open(call, url, query, secrets, deadline)
            if incoming.is_success:
                return incoming
            with closing(incoming):
                location = incoming.headers.get("location", "")
                if not _core.is_redirect(incoming.status) or not location:
                    raise self._refusal(call, url, incoming)
            url, query = _redirected(call, url, location), {}
            # once elsewhere, always without: a way back was chosen by the other origin
            keeps_token = secrets.token is not None and origin(url) == origin(call.url)
            secrets = Secrets(secrets.token) if keeps_token else NO_SECRETS
        raise UnexpectedAnswerError(f"{call.where}: more than {_REDIRECT_LIMIT} redirects")

    def _refusal(self, call: Call, url: str, incoming: Incoming) -> ClientError:
        where = call.where if url == call.url else f"{call.where} (redirected to {shown(url)})"
        body = incoming.beginning(_ERROR_BODY_LIMIT) if incoming.encoding == "identity" else b""
        now = self.clock.time()
        return failures.refusal(where, incoming.status, incoming.headers, body, secrets=call.secrets, now=now)

    def _timing(self, call: Call, where: str, deadline: Deadline) -> Timing:
        patience = self.timeouts
        first = patience.first_byte if call.slow_start else patience.read
        return Timing(where, deadline, patience.connect, patience.read, first)

    def _open(self, call: Call, url: str, query: Any, secrets: Secrets, deadline: Deadline) -> Incoming:
        timing = self._timing(call, call.where, deadline)
        without_body = call.method in _READING and call.body is None and call.form is None
        if self._closed:
            raise RuntimeError("this session is closed")
        if self._transport is None and without_body and self._fetcher.leads_to(url):
            return self._open_own(call, url, query, secrets, timing)
        return self._open_httpx(call, url, query, secrets, timing)

    # -- the core -------------------------------------------------------------------------------------------------

    def _open_own(self, call: Call, url: str, query: Any, secrets: Secrets, timing: Timing) -> Incoming:
        server = origin(url)
        request = self._fetcher.request(call.method, server, _all_headers(call), secrets, timing)
        answer = self._fetcher.get(request, server, target_of(url, query), timing)
        if isinstance(answer, ClientError):
            raise answer
        fail = functools.partial(self._fetcher.error, server=server, timing=timing)
        failure = functools.partial(_broken, timing)
        append = functools.partial(_appended, answer, fail)
        return Incoming(answer.status, answer.headers, timing, _pieces(answer, fail), answer.close, failure, append)

    # -- httpx ----------------------------------------------------------------------------------------------------

    def _open_httpx(self, call: Call, url: str, query: Any, secrets: Secrets, timing: Timing) -> Incoming:
        watch = _Watch(timing.deadline) if self._transport is None else None
        with ExitStack() as cleanup:
            if watch is not None:
                cleanup.callback(watch.end)
            answer = self._sent(call, url, query, secrets, timing, watch)
            if isinstance(answer, ClientError):
                timing.deadline.check(timing.where)
                # the exception of httpx holds the request, and with it the token
                raise answer
            if watch is not None:
                self._fetcher.reached.add(origin(url))
            cleanup.callback(answer.close)
            headers, raw = dict(answer.headers), answer.iter_raw()
            if answer.is_stream_consumed:
                # what stands in place of the network may hand over an answer that is whole, and decoded
                raw = iter([answer.content])
                headers.pop("content-encoding", None)
            failure, close = functools.partial(_broken, timing), cleanup.pop_all().close
            return Incoming(answer.status_code, headers, timing, raw, close, failure)

    def _sent(
        self, call: Call, url: str, query: Any, secrets: Secrets, timing: Timing, watch: "_Watch | None"
    ) -> "httpx.Response | ClientError":
        """Return what httpx brings, or the error: no variable of a call that fails holds the request."""
        client = self._http(by_proxy=self._transport is None and not self._fetcher.leads_straight_to(url))
        if isinstance(client, ClientError):
            return client
        left, patience = timing.deadline.remaining(), self.timeouts
        timeout = httpx.Timeout(
            connect=min(patience.connect, left),
            read=min(timing.first_byte_seconds, left),
            write=min(patience.write, left),
            pool=min(patience.pool, left),
        )
        extensions = {} if watch is None else {"trace": watch.note}
        try:
            with call.form() if call.form is not None else nullcontext({"content": call.body}) as content:
                request = client.build_request(
                    call.method, url, params=query or None, headers=_headers(call), timeout=timeout,
                    extensions=extensions, **content,
                )  # fmt: skip
                # the token is added by what httpx calls last, and stands in none of our variables
                response = client.send(request, auth=functools.partial(_signed, secrets), stream=True)
        except _http_errors() as error:
            return failures.transport_failure(timing.where, error, self._fetcher.proxy_before(url))
        phases = request.extensions.get("timeout")
        if isinstance(phases, dict):
            # the wait between two pieces of the body is shorter than the one for the first
            phases["read"] = min(timing.read_seconds, phases.get("read") or timing.read_seconds)
        return response

    def _http(self, *, by_proxy: bool) -> "httpx.Client | ClientError":
        with self._lock:
            if by_proxy not in self._clients:
                try:
                    self._clients[by_proxy] = self._new_client(by_proxy=by_proxy)
                except (ImportError, ValueError, httpx.InvalidURL) as error:
                    return failures.bad_proxy(type(error).__name__)
            return self._clients[by_proxy]

    def _new_client(self, *, by_proxy: bool) -> "httpx.Client":
        # what is seldom needed keeps no connections, so that no answer can be taken for another's
        limits = httpx.Limits(max_connections=self._max_connections, max_keepalive_connections=0)
        logging.getLogger("httpx").addFilter(_hide_queries)
        return httpx.Client(
            transport=self._transport,
            verify=_trusted() if self._transport is None else True,
            limits=limits,
            follow_redirects=False,
            # whether the environment's proxies stand before a server is decided once, by the core
            trust_env=by_proxy,
            # one pool serves many identities, so no server may tie one to it
            cookies=cookiejar.CookieJar(cookiejar.DefaultCookiePolicy(allowed_domains=[])),
            headers={"user-agent": _USER_AGENT, "accept": "*/*"},
        )


class _Watch:
    """Cuts a connection of httpx at the deadline of its call: httpx limits the wait for bytes, not for an answer."""

    def __init__(self, deadline: Deadline) -> None:
        self._socket: Any = None
        self._timer = threading.Timer(deadline.remaining(), self._cut)
        self._timer.daemon = True
        self._timer.start()

    def note(self, event: str, info: dict[str, Any]) -> None:
        """Take note of what httpx does; see its extension ``trace``."""
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._socket = info["return_value"].get_extra_info("socket")

    def end(self) -> None:
        """Watch no longer."""
        self._timer.cancel()
        self._timer.join()

    def _cut(self) -> None:
        with suppress(OSError, AttributeError):
            self._socket.shutdown(2)


def _pieces(answer: _core.HttpAnswer, fail: Callable[[_core.HttpFailure], ClientError]) -> Iterator[bytes]:
    """Yield the body of an answer as it comes."""
    while (piece := answer.piece()) is not None:
        if isinstance(piece, _core.HttpFailure):
            raise fail(piece)
        yield piece


def _appended(
    answer: _core.HttpAnswer, fail: Callable[[_core.HttpFailure], ClientError], file: int, most: int
) -> tuple[int, bool]:
    """Append what comes within a moment to an open file; how much that was, and whether there is no more."""
    copied = answer.copy_to(file, most, _MOMENT)
    if isinstance(copied, _core.HttpFailure):
        raise fail(copied)
    return copied


def _broken(timing: Timing, error: Exception) -> ClientError | None:
    """Return what is said of an answer that broke off; ``None`` for errors that are not the network's."""
    of_httpx = type(error).__module__.startswith("httpx")
    if isinstance(error, ClientError) or not (of_httpx or isinstance(error, OSError | ValueError | zlib.error)):
        return None
    if timing.deadline.is_over():
        return timing.deadline.error(timing.where)
    return failures.transport_failure(timing.where, error) if of_httpx else failures.broken(timing.where, error)


def _http_errors() -> "tuple[type[httpx.HTTPError | httpx.StreamError | httpx.InvalidURL], ...]":
    """Return the exceptions of the HTTP library; a function, so that it is loaded no earlier than needed."""
    return httpx.HTTPError, httpx.StreamError, httpx.InvalidURL


def _trusted() -> "ssl.SSLContext":
    """Return a context that trusts the system's store, ``SSL_CERT_FILE`` and certifi's list."""
    context = ssl.create_default_context()
    if not os.environ.get("SSL_CERT_FILE"):
        context.load_verify_locations(certifi.where())
    return context


def _headers(call: Call) -> dict[str, str]:
    return {"accept-encoding": "identity", **call.headers}


def _all_headers(call: Call) -> dict[str, str]:
    return {"user-agent": _USER_AGENT, "accept": "*/*", **_headers(call)}


def _signed(secrets: Secrets, request: "httpx.Request") -> "httpx.Request":
    request.headers.update(secrets.headers())
    if secrets.query:
        request.url = request.url.copy_merge_params({key: secret.reveal() for key, secret in secrets.query})
    return request


def _hide_queries(record: logging.LogRecord) -> bool:
    """Cut queries out of the lines that httpx logs: they may hold a sharing token."""
    if isinstance(record.args, tuple):
        record.args = tuple(shown(str(arg)) if isinstance(arg, httpx.URL) else arg for arg in record.args)
    return True


def _redirected(call: Call, url: str, location: str) -> str:
    """Return where a redirect leads, or raise if it may not be followed."""
    try:
        target = urljoin(url, location)
        sound = is_url(target) and target.isascii() and target.isprintable() and bool(origin(target))
    except ValueError:
        target, sound = location, False
    downgraded = urlsplit(url).scheme == "https" and not target.lower().startswith("https:")
    if not sound or downgraded:
        why = ", from https to http, where anybody may read along" if sound else ""
        raise UnexpectedAnswerError(f"{call.where}: redirected to {shown(target)}{why}, which is not followed")
    if call.method not in _READING:
        raise UnexpectedAnswerError(
            f"{call.where}: redirected to {shown(target)}; data is not sent on. "
            "Use that server's URL (WK_URL) if it is the right one"
        )
    return target


# -- the session of the process ---------------------------------------------------------------------------------------

_shared: Session | None = None
_shared_lock = threading.Lock()


def shared_session() -> Session:
    """Return the session of this process, opened on first use and closed when the process ends."""
    global _shared  # noqa: PLW0603 (connections are worth sharing)
    with _shared_lock:
        if _shared is None:
            _shared = Session()
        return _shared


def close_shared_session() -> None:
    """Close the session of this process; the next use opens another."""
    global _shared
    with _shared_lock:
        session, _shared = _shared, None
    if session is not None:
        session.close()


def _after_fork() -> None:
    """Replace the lock, which another thread of the parent may have held; sessions look after themselves."""
    global _shared_lock  # noqa: PLW0603
    _shared_lock = threading.Lock()
    for session in list(_sessions):
        session.leave_to_parent()


atexit.register(close_shared_session)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
