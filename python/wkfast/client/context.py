"""Which server is spoken to, as whom and how patiently.

A process-wide default comes from the environment or from :func:`login`; :func:`webknossos_context` overrides it for a
block of code, per thread and per async task.
"""

import functools
import getpass
import inspect
import os
import re
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar, cast

from wkfast.client.errors import AuthenticationError, ConfigurationError
from wkfast.client.secret import Secret
from wkfast.client.urls import normalized_base_url, origin

__all__ = ["Context", "current_context", "login", "webknossos_context"]

DEFAULT_URL = "https://webknossos.org"
DEFAULT_TIMEOUT = 1800.0

F = TypeVar("F", bound=Callable[..., Any])

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<value>.*?)\s*$")
_ESCAPES = {"\\n": "\n", "\\t": "\t", '\\"': '"', "\\\\": "\\"}
_SIZE_LIMIT = 1 << 20


@dataclass(frozen=True)
class Context:
    """Server, identity and patience of a client.

    Attributes
    ----------
    url
        Base URL of the server, without a slash at its end.
    token
        Who is asking; ``None`` is anonymous. Not shown and not pickled: the copy in another process takes the token of
        that process's environment, if its ``WK_URL`` is on the same server.
    timeout
        Seconds that a call may take with all its attempts.
    api_version
        Forced version of the REST API; ``None`` negotiates.
    """

    url: str = DEFAULT_URL
    token: Secret | None = field(default=None, repr=False)
    timeout: float = DEFAULT_TIMEOUT
    api_version: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", normalized_base_url(self.url))
        try:
            is_timeout = 0 < self.timeout < float("inf")
        except TypeError:
            is_timeout = False
        if not is_timeout:
            raise ConfigurationError(f"a timeout is a positive number of seconds, not {self.timeout!r}")
        if self.api_version is not None and self.api_version < 1:
            raise ConfigurationError(f"an API version is a positive integer, not {self.api_version!r}")

    def anonymous(self) -> "Context":
        """Return the same context without a token."""
        return replace(self, token=None)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.url, self.timeout, self.api_version, self.token is not None)


def _restored(url: str, timeout: float, api_version: int | None, had_token: bool) -> Context:
    local = current_context()
    token = local.token if had_token and origin(local.url) == origin(url) else None
    return Context(url, token, timeout, api_version)


_overrides: ContextVar[tuple[Context, ...]] = ContextVar("wkfast_context", default=())
_default: Context | None = None
_default_lock = threading.Lock()


def current_context() -> Context:
    """Return the context of the innermost :class:`webknossos_context` block, else the default."""
    overrides = _overrides.get()
    return overrides[-1] if overrides else _default_context()


def _default_context() -> Context:
    global _default  # noqa: PLW0603 (a process has one default, replaced by login)
    with _default_lock:
        if _default is None:
            _default = _context_of_environment()
        return _default


def _context_of_environment() -> Context:
    return Context(
        url=_variable("WK_URL") or DEFAULT_URL,
        # in no variable of ours, so that no traceback shows it
        token=Secret(_variable("WK_TOKEN")) if _variable("WK_TOKEN") else None,
        timeout=_seconds(_variable("WK_TIMEOUT") or DEFAULT_TIMEOUT, "WK_TIMEOUT"),
    )


def _variable(name: str) -> str:
    """Return a variable of the environment, else of the file ``.env``; empty where there is none."""
    return os.environ.get(name, read_dotenv(Path(".env")).get(name, "")).strip()


def _seconds(stated: float | str, what: str) -> float:
    try:
        return float(stated)
    except (TypeError, ValueError):
        raise ConfigurationError(f"{what} is a positive number of seconds, not {stated!r}") from None


def _derived(
    base: Context, url: str | None, token: Secret | None, timeout: float | None, api_version: int | None
) -> Context:
    """Return ``base`` with parts replaced. The token is never taken over, a forced version only with its URL."""
    derived = Context(
        url=base.url if url is None else url,
        token=token,
        timeout=base.timeout if timeout is None else _seconds(timeout, "a timeout"),
        api_version=api_version,
    )
    if api_version is None and derived.url == base.url:
        derived = replace(derived, api_version=base.api_version)
    return derived


class webknossos_context:  # noqa: N801 (the name scripts for the reference API use)
    """Speak to another server, as somebody else or with other patience, in a ``with`` block or a decorated function.

    URL and timeout are those of the surrounding context where they are not given. The token is not: a block without
    ``token`` is anonymous. Blocks nest, one object may be entered repeatedly and in several threads; a new thread
    starts with the default context.

    Parameters
    ----------
    url
        Base URL of the server, e.g. ``https://webknossos.org``.
    token
        From ``{url}/account/token``.
    timeout
        Seconds a call may take in total.
    api_version
        Use this version of the REST API and do not ask the server which ones it has.

    Examples
    --------
    >>> with webknossos_context("https://wk.example.org", timeout=60) as context:
    ...     print(context)
    Context(url='https://wk.example.org', timeout=60.0, api_version=None)
    """

    def __init__(
        self,
        url: str | None = None,
        token: str | Secret | None = None,
        timeout: float | None = None,
        api_version: int | None = None,
    ) -> None:
        self._url = url
        self._token = Secret.of(token)
        self._timeout = timeout
        self._api_version = api_version

    def __enter__(self) -> Context:
        context = _derived(current_context(), self._url, self._token, self._timeout, self._api_version)
        _overrides.set((*_overrides.get(), context))
        return context

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _overrides.set(_overrides.get()[:-1])

    def __call__(self, function: F) -> F:
        """Return ``function`` running inside this context, a coroutine function included."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def run_async(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

            return cast("F", run_async)

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return cast("F", run)


def login(
    *,
    url: str | None = None,
    token: str | Secret | None = None,
    timeout: float | None = None,
    api_version: int | None = None,
) -> None:
    """Replace the default context of the process. URL and timeout stay where they are not given.

    Parameters
    ----------
    url
        Of the server, e.g. ``https://webknossos.org``.
    token
        From the server's page of your account; asked for on a terminal if none is given or known.
    timeout
        Seconds that a call may take with all its attempts.
    api_version
        Forced version of the REST API; default: negotiated.

    Raises
    ------
    AuthenticationError
        No token is given and there is no terminal to ask on.
    """
    global _default  # noqa: PLW0603
    token = Secret.of(token)
    asked = _derived(_default_context(), url, token, timeout, api_version)
    if asked.token is None:
        asked = replace(asked, token=_token_from_terminal(asked.url))
    with _default_lock:
        _default = asked


def _token_from_terminal(url: str) -> Secret:
    if sys.stdin is None or not sys.stdin.isatty():
        raise AuthenticationError(
            f"login needs a token and there is no terminal to ask on: pass token=, or set WK_TOKEN; "
            f"{url}/account/token shows yours"
        )
    return Secret(getpass.getpass(f"Token (shown at {url}/account/token): "))


def read_dotenv(path: Path) -> dict[str, str]:
    """Return the variables of a ``.env`` file; none where there is no such file or it cannot be read.

    Variables inside values are not expanded. Lines that are no assignment are skipped: the file serves other tools too.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_SIZE_LIMIT)
    except OSError:
        return {}
    return parse_dotenv(content.decode("utf-8-sig", errors="replace"))


def parse_dotenv(text: str) -> dict[str, str]:
    r"""Return the variables of a ``.env`` text; the last assignment of a name wins.

    Examples
    --------
    >>> parse_dotenv("# server\nWK_URL=https://wk.example.org  # ours\nexport WK_TIMEOUT='60'\n")
    {'WK_URL': 'https://wk.example.org', 'WK_TIMEOUT': '60'}
    """
    matches = (_LINE.match(line) for line in text.splitlines())
    return {match["name"]: _value(match["value"]) for match in matches if match is not None}


def _value(text: str) -> str:
    quoted = re.match(r"'([^']*)'", text)
    if quoted:
        return quoted[1]
    quoted = re.match(r'"((?:[^"\\]|\\.)*)"', text)
    if quoted:
        return re.sub(r"\\.", lambda escape: _ESCAPES.get(escape[0], escape[0]), quoted[1])
    return re.split(r"(?:^|\s)#", text, maxsplit=1)[0].strip()
