"""Turn refusals of a server and failures of the network into the errors of :mod:`wkfast.client.errors`."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.client import errors
from wkfast.client.secret import Secrets

if TYPE_CHECKING:
    from email import utils as email_utils

    import httpx
else:
    email_utils = lazy_import("email.utils")
    httpx = lazy_import("httpx")

_TEXT_LIMIT = 2000
_MESSAGE_LIMIT = 20


def refusal(
    where: str, status: int, headers: Mapping[str, str], body: bytes, *, secrets: Secrets, now: float
) -> errors.ResponseError:
    """Return the error for an answer that is no success.

    Parameters
    ----------
    where
        Method and URL, as :func:`wkfast.client.urls.shown` shows it.
    secrets
        What the request carried. A server may repeat it in its text, the error must not.
    now
        Seconds since the epoch, for a ``Retry-After`` that is a date.
    """
    messages = tuple(map(secrets.scrubbed, server_messages(body)))
    said = f": the server says: {'; '.join(messages)}" if messages else ""
    meaning = meaning_of(status)
    hint = meaning.hint or (_hint(meaning.error, anonymous=not secrets.all()) if meaning.hints else "")
    return meaning.error(
        f"{where}: answered {status}{said}{hint}",
        status=status,
        messages=messages,
        retry_after=retry_after(headers.get("retry-after"), now),
    )


@dataclass(frozen=True)
class Meaning:
    """What a status that is no success says.

    Attributes
    ----------
    error
        The class of the error.
    put_off
        Whether the server certainly did nothing and asks to come again, so that even what creates may be repeated.
    hints
        Whether the message says what to check of the token.
    hint
        What else the message says.
    """

    error: type[errors.ResponseError]
    put_off: bool = False
    hints: bool = False
    hint: str = ""


#: By what the core says of a status; whether reading is tried again is a matter of the error's class.
_MEANINGS = {
    "request": Meaning(errors.BadRequestError),
    "token": Meaning(errors.AuthenticationError, hints=True),
    "right": Meaning(errors.PermissionDeniedError, hints=True),
    "missing": Meaning(errors.NotFoundError, hints=True),
    "proxy": Meaning(errors.BadRequestError, hint=f". The proxy: {_core.PROXY_ASKS}"),
    "busy": Meaning(errors.BusyError),
    "server": Meaning(errors.ServerError),
}


def meaning_of(status: int) -> Meaning:
    """Return what a status says.

    Examples
    --------
    >>> meaning_of(404).error.__name__, meaning_of(418).error.__name__, meaning_of(502).error.retryable
    ('NotFoundError', 'BadRequestError', True)
    """
    says, put_off = _core.refusal_of(status)
    return replace(_MEANINGS[says], put_off=put_off)


def may_repeat_reading(error: errors.ClientError) -> bool:
    """Whether a request that only reads may be repeated after ``error``."""
    return error.retryable


def may_repeat_creating(error: errors.ClientError) -> bool:
    """Whether a request that creates something may be repeated: only if it certainly has not been carried out."""
    return error.retryable and (not error.sent or (error.status is not None and meaning_of(error.status).put_off))


def may_repeat_unsent(error: errors.ClientError) -> bool:
    """Whether a request that changes something may be repeated: only if it never reached the server."""
    return error.retryable and not error.sent


def _hint(error: type[errors.ResponseError], *, anonymous: bool) -> str:
    if anonymous:
        return ". No token was sent: set WK_TOKEN, or use webknossos_context(token=…) or login(token=…)"
    if error is errors.NotFoundError:
        return ". It is not there, or the token's owner may not see it; check the id and the server's URL"
    return ". Check that the token is valid and belongs to this server, and that its owner may do this"


def server_messages(body: bytes) -> tuple[str, ...]:
    """Return what the server said: its JSON messages, else its text without tags, at most 2000 characters.

    Examples
    --------
    >>> server_messages(b'{"messages": [{"error": ""}, {"chain": "zarr.chunkNotFound"}]}')
    ('zarr.chunkNotFound',)
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return _plain_text(body)
    return tuple(text for _, text in labelled_messages(value))


def labelled_messages(value: object) -> list[tuple[str, str]]:
    """Return the ``(kind, text)`` pairs of a ``messages`` list; kinds seen are success, error, warning and chain."""
    entries = value.get("messages") if isinstance(value, dict) else None
    if not isinstance(entries, list):
        return []
    pairs = [pair for entry in entries[:_MESSAGE_LIMIT] if isinstance(entry, dict) for pair in entry.items()]
    return [(str(kind), _one_line(text)) for kind, text in pairs if isinstance(text, str) and text.strip()]


def _plain_text(body: bytes) -> tuple[str, ...]:
    text = body.decode("utf-8", errors="replace")
    text = re.sub(r"(?is)<(script|style)\b.*?</\1\s*>", " ", text)
    text = _one_line(re.sub(r"<[^<>]*>", " ", text))
    return (text,) if text else ()


def _one_line(text: str) -> str:
    # control characters could redraw the terminal that shows the error
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))[:_TEXT_LIMIT]


def retry_after(value: str | None, now: float) -> float | None:
    """Return the seconds of a ``Retry-After`` header, which holds a number or a date; ``None`` if it holds neither.

    Examples
    --------
    >>> retry_after("7", now=0.0), retry_after("Thu, 01 Jan 1970 00:00:30 GMT", now=10.0), retry_after("soon", now=0.0)
    (7.0, 20.0, None)
    """
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}", value.strip()):
        return float(value)
    try:
        return max(0.0, email_utils.parsedate_to_datetime(value).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None


def transport_failure(where: str, error: Exception, proxy: str | None = None) -> errors.ClientError:
    """Return the error for an exception of the HTTP library, without holding on to it or its request.

    Parameters
    ----------
    proxy
        What stands before the server, as ``_core.proxy_before`` tells it: of connections that could not be made.
    """
    for kinds, make in _TRANSPORT_FAILURES:
        if isinstance(error, tuple(getattr(httpx, kind) for kind in kinds)):
            by = f"{proxy}: " if proxy and make in (_not_connected, _no_connection_in_time) else ""
            return make(where, f"{by}{_described(error)}")
    return _broken(where, _described(error))


def bad_proxy(reason: str = "no URL of a proxy") -> errors.ConfigurationError:
    """Return the error for a proxy that cannot be used; its URL, which may hold a password, is not quoted."""
    return errors.ConfigurationError(
        f"the proxy that the environment names (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be used ({reason}); "
        "expected e.g. http://proxy.example.org:3128. socks5:// needs the package socksio"
    )


#: What the core calls it when nothing reached the server.
UNREACHED = frozenset({"unsendable", "unreached", "unreached in time", "untrusted"})


def unanswered(where: str, kind: str, text: str) -> errors.ClientError:
    """Return the error for a request that the core sent and that no whole answer came to."""
    return _UNANSWERED.get(kind, _broken)(where, _one_line(text))


def unsendable(where: str, error: Exception) -> errors.ClientError:
    """Return the error for a request that cannot be written down."""
    return _bad_request(where, _described(error))


def broken(where: str, error: Exception) -> errors.ClientError:
    """Return the error for a connection that fell silent or broke before the whole answer was there."""
    make = _silent if isinstance(error, TimeoutError) else _broken
    return make(where, _described(error))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {_one_line(str(error))}" if str(error) else type(error).__name__


def _broken(where: str, what: str) -> errors.ClientError:
    return errors.TransportError(f"{where}: the connection broke: {what}")


def _not_connected(where: str, what: str) -> errors.ClientError:
    if "CERTIFICATE_VERIFY_FAILED" in what:
        return _not_trusted(where, what)
    return errors.ConnectionFailedError(f"{where}: no connection: {what}; check the URL and the network", sent=False)


def _not_trusted(where: str, what: str) -> errors.ClientError:
    return errors.CertificateError(
        f"{where}: no connection: {what}; check the URL and the network. "
        "A server with a certificate of its own: name it in SSL_CERT_FILE",
        sent=False,
    )


def _no_connection_in_time(where: str, what: str) -> errors.ClientError:
    return errors.ClientTimeoutError(f"{where}: no connection in time ({what})", sent=False)


def _silent(where: str, what: str) -> errors.ClientError:
    return errors.ClientTimeoutError(f"{where}: the server stopped sending or receiving ({what})")


def _bad_url(where: str, what: str) -> errors.ClientError:
    return errors.InvalidUrlError(f"{where}: {what}")


def _bad_request(where: str, what: str) -> errors.ClientError:
    # behind the colon, the text quotes the header it refuses
    return errors.BadRequestError(f"{where}: the request cannot be sent ({what.partition(':')[0]})")


_Maker = Callable[[str, str], errors.ClientError]
# the most specific comes first; names, so that this module does not load httpx
_TRANSPORT_FAILURES: tuple[tuple[tuple[str, ...], _Maker], ...] = (
    (("ConnectTimeout", "PoolTimeout"), _no_connection_in_time),
    (("TimeoutException",), _silent),
    (("ConnectError", "ProxyError"), _not_connected),
    (("InvalidURL", "UnsupportedProtocol"), _bad_url),
    (("LocalProtocolError",), _bad_request),
)

# by the kinds that the core knows; what is not here broke
_UNANSWERED: dict[str, _Maker] = {
    "unsendable": _bad_request,
    "unreached": _not_connected,
    "unreached in time": _no_connection_in_time,
    "untrusted": _not_trusted,
    "silent": _silent,
}
