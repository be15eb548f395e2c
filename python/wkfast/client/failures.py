"""Turn refusals of a server and failures of the network into the errors of :mod:`wkfast.client.errors`."""

import json
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.client import errors
from wkfast.client.secret import Secret, scrubbed

if TYPE_CHECKING:
    from email import utils as email_utils

    import httpx
else:
    email_utils = lazy_import("email.utils")
    httpx = lazy_import("httpx")

_TEXT_LIMIT = 2000
_MESSAGE_LIMIT = 20
_BUSY = frozenset({408, 425, 429})
_SERVER_SIDE = 500
_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 401, 403, 404


def refusal(
    where: str, status: int, headers: Mapping[str, str], body: bytes, *, secrets: tuple[Secret | None, ...], now: float
) -> errors.ResponseError:
    """Return the error for an answer that is no success.

    Parameters
    ----------
    where
        Method and URL, as :func:`wkfast.client.urls.shown` shows it.
    secrets
        Tokens the request carried. A server may repeat them in its text, the error must not.
    now
        Seconds since the epoch, for a ``Retry-After`` that is a date.
    """
    messages = tuple(scrubbed(message, *secrets) for message in server_messages(body))
    said = f": the server says: {'; '.join(messages)}" if messages else ""
    hint = _hint(status, anonymous=not any(secrets))
    return _class_of(status)(
        f"{where}: answered {status}{said}{hint}",
        status=status,
        messages=messages,
        retry_after=retry_after(headers.get("retry-after"), now),
    )


def _class_of(status: int) -> type[errors.ResponseError]:
    known = {
        _UNAUTHORIZED: errors.AuthenticationError,
        _FORBIDDEN: errors.PermissionDeniedError,
        _NOT_FOUND: errors.NotFoundError,
    }
    if status in _BUSY:
        return errors.BusyError
    if status >= _SERVER_SIDE:
        return errors.ServerError
    return known.get(status, errors.BadRequestError)


def _hint(status: int, *, anonymous: bool) -> str:
    if status not in (_UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND):
        return ""
    if anonymous:
        return ". No token was sent: set WK_TOKEN, or use webknossos_context(token=…) or login(token=…)"
    if status == _NOT_FOUND:
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
        moment = email_utils.parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return max(0.0, moment.timestamp() - now)


def transport_failure(
    where: str, error: "httpx.HTTPError | httpx.StreamError | httpx.InvalidURL"
) -> errors.ClientError:
    """Return the error for an exception of the HTTP library, without holding on to it or its request."""
    for kinds, make in _TRANSPORT_FAILURES:
        if isinstance(error, tuple(getattr(httpx, kind) for kind in kinds)):
            return make(where, error)
    return broken(where, error)


def unconnected(where: str, error: OSError) -> errors.ClientError:
    """Return the error for a connection that could not be opened."""
    return _no_connection_in_time(where, error) if isinstance(error, TimeoutError) else _not_connected(where, error)


def broken(where: str, error: Exception) -> errors.ClientError:
    """Return the error for a connection that fell silent or broke before the whole answer was there."""
    if isinstance(error, TimeoutError):
        return _silent(where, error)
    return errors.TransportError(f"{where}: the connection broke: {_described(error)}")


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {_one_line(str(error))}" if str(error) else type(error).__name__


def _not_connected(where: str, error: Exception) -> errors.ClientError:
    text = f"{where}: no connection: {_described(error)}; check the URL and the network"
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return errors.CertificateError(
            f"{text}. A server with a certificate of its own: name it in SSL_CERT_FILE", sent=False
        )
    return errors.ConnectionFailedError(text, sent=False)


def _no_connection_in_time(where: str, error: Exception) -> errors.ClientError:
    return errors.ClientTimeoutError(f"{where}: no connection in time ({_described(error)})", sent=False)


def _silent(where: str, error: Exception) -> errors.ClientError:
    return errors.ClientTimeoutError(f"{where}: the server stopped sending or receiving ({_described(error)})")


def _bad_url(where: str, error: Exception) -> errors.ClientError:
    return errors.InvalidUrlError(f"{where}: {_described(error)}")


def _bad_request(where: str, error: Exception) -> errors.ClientError:
    # its text quotes the header it refuses
    return errors.BadRequestError(f"{where}: the request cannot be sent ({type(error).__name__})")


_Maker = Callable[[str, Exception], errors.ClientError]
# the most specific comes first; names, so that this module does not load httpx
_TRANSPORT_FAILURES: tuple[tuple[tuple[str, ...], _Maker], ...] = (
    (("ConnectTimeout", "PoolTimeout"), _no_connection_in_time),
    (("TimeoutException",), _silent),
    (("ConnectError", "ProxyError"), _not_connected),
    (("InvalidURL", "UnsupportedProtocol"), _bad_url),
    (("LocalProtocolError",), _bad_request),
)
