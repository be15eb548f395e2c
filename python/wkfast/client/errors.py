"""What can go wrong between wkfast and a server.

::

    WkfastError
    └── ClientError                  (RuntimeError)
        ├── ConfigurationError       (ValueError)     a bad setting: WK_TIMEOUT, WK_URL, a token with a line break
        ├── InvalidUrlError          (ValueError)     not a URL or id of an annotation, dataset or short link
        ├── ResponseError                             the server answered, and refused
        │   ├── BadRequestError                       400 and other 4xx
        │   ├── AuthenticationError                   401, or no token where one is needed
        │   ├── PermissionDeniedError                 403, or no right to change an annotation
        │   ├── NotFoundError                         404
        │   ├── BusyError                             408, 425, 429: repeated
        │   └── ServerError                           5xx: repeated
        ├── UnexpectedAnswerError                     an answer that is not what the contract says
        │   ├── NotWebknossosError                    HTML instead of JSON: another server
        │   └── AnswerTooLargeError
        ├── VersionError                              no API version in common
        └── TransportError                            no whole answer: repeated where that is safe
            ├── ConnectionFailedError                 the request never reached the server
            │   └── CertificateError                  nor will it: not repeated
            ├── ClientTimeoutError   (TimeoutError)
            └── IncompleteDownloadError

Messages never hold a token. The exceptions of httpx are not chained, because they hold the request and its headers.
"""

from typing import ClassVar, Self

from wkfast.errors import WkfastError

__all__ = [
    "AnswerTooLargeError",
    "AuthenticationError",
    "BadRequestError",
    "BusyError",
    "CertificateError",
    "ClientError",
    "ClientTimeoutError",
    "ConfigurationError",
    "ConnectionFailedError",
    "IncompleteDownloadError",
    "InvalidUrlError",
    "NotFoundError",
    "NotWebknossosError",
    "PermissionDeniedError",
    "ResponseError",
    "ServerError",
    "TransportError",
    "UnexpectedAnswerError",
    "VersionError",
]


class ClientError(WkfastError, RuntimeError):
    """Something between wkfast and a server went wrong.

    Attributes
    ----------
    status
        The HTTP status, ``None`` when there was no answer.
    messages
        What the server said, in its order.
    retry_after
        Seconds the server asked to wait.
    sent
        Whether the request may have reached the server. One that may have is repeated only if it just reads.
    """

    #: Whether another attempt may help.
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        messages: tuple[str, ...] = (),
        retry_after: float | None = None,
        sent: bool = True,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.messages = messages
        self.retry_after = retry_after
        self.sent = sent


class ConfigurationError(ClientError, ValueError):
    """A setting cannot be used. The message names the setting and where it came from, never a token's value."""


class InvalidUrlError(ClientError, ValueError):
    """A text is neither a URL nor an id of what was asked for."""


class ResponseError(ClientError):
    """The server refused. ``status`` and ``messages`` say how."""


class BadRequestError(ResponseError):
    """The server does not accept the request; WEBKNOSSOS uses 400 broadly."""


class AuthenticationError(ResponseError):
    """The token is missing, wrong or expired."""


class PermissionDeniedError(ResponseError):
    """The token's owner has no right to do this."""


class NotFoundError(ResponseError, ValueError):
    """Not there, or not visible to this token. A ``ValueError``, as of a name that is none."""


class BusyError(ResponseError):
    """The server asks to come back later."""

    retryable = True


class ServerError(ResponseError):
    """The server, or a proxy before it, is in trouble."""

    retryable = True


class UnexpectedAnswerError(ClientError):
    """The answer is not what a WEBKNOSSOS server of this version sends."""


class NotWebknossosError(UnexpectedAnswerError):
    """The URL leads to something that is not a WEBKNOSSOS server."""


class AnswerTooLargeError(UnexpectedAnswerError):
    """The answer is larger than anything a server has reason to send."""


class VersionError(ClientError):
    """Server and wkfast have no API version in common. The message states both ranges."""


class TransportError(ClientError):
    """The connection broke before the answer was whole."""

    retryable = True


class ConnectionFailedError(TransportError):
    """No connection could be opened: name, port, network or certificate."""


class CertificateError(ConnectionFailedError):
    """The server's certificate is not trusted."""

    retryable = False


class ClientTimeoutError(TransportError, TimeoutError):
    """A phase of the request, or all attempts together, took too long."""

    def __new__(cls, *arguments: object, **_attributes: object) -> Self:
        """Make one by way of the base that lays out its memory: dask unpickles errors by calling this."""
        return TimeoutError.__new__(cls, *arguments)


class IncompleteDownloadError(TransportError):
    """A download ended before the file was whole. Nothing is left under the final name."""
