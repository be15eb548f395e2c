"""One request and its answer: what is asked, and what comes back while it comes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.client import failures
from wkfast.client.errors import AnswerTooLargeError, ClientError
from wkfast.client.lane import Stream
from wkfast.client.retry import Deadline, may_repeat_reading
from wkfast.client.secret import Secret
from wkfast.client.urls import shown

if TYPE_CHECKING:
    import httpx
else:
    httpx = lazy_import("httpx")

_FIRST_SUCCESS, _FIRST_REFUSAL = 200, 300


@dataclass(frozen=True)
class Call:
    """One request as the rest of the client sees it."""

    method: str
    url: str
    token: Secret | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    #: Values of the query that must not be shown, e.g. a sharing token.
    secret_query: Mapping[str, Secret] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    #: Makes the body anew for each attempt.
    body: Callable[[], Iterable[bytes]] | None = None
    #: Seconds for the call with all its attempts.
    total: float = 1800.0
    #: The server works before it answers, so the first byte may take long.
    slow_start: bool = False
    #: One of many small GETs, which the quick road is for.
    small: bool = False
    retries: int | None = None
    may_repeat: Callable[[ClientError], bool] = may_repeat_reading

    @property
    def where(self) -> str:
        """Method and URL for messages, without query."""
        return f"{self.method} {shown(self.url)}"

    @property
    def secrets(self) -> tuple[Secret | None, ...]:
        """What no message may hold."""
        return (self.token, *self.secret_query.values())


@dataclass(frozen=True)
class Answer:
    """A whole answer. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    where: str


class Incoming(ABC):
    """An answer whose body is still to be read. Exceptions of the HTTP library come out as :class:`ClientError`.

    Attributes
    ----------
    headers
        Names in lower case.
    """

    def __init__(self, status: int, headers: Mapping[str, str], where: str) -> None:
        self.status = status
        self.headers = headers
        self.where = where

    @property
    def is_success(self) -> bool:
        """Whether the server did what was asked for."""
        return _FIRST_SUCCESS <= self.status < _FIRST_REFUSAL

    @property
    def is_encoded(self) -> bool:
        """Whether the bytes on the wire are not those of the content."""
        return self.headers.get("content-encoding", "identity").lower() != "identity"

    @abstractmethod
    def blocks(self) -> Iterator[bytes]:
        """Yield the content as it arrives, decoded where it is encoded."""

    def read(self, limit: int, deadline: Deadline) -> bytes:
        """Return the whole content."""
        blocks, size = [], 0
        for block in self.blocks():
            size += len(block)
            if size > limit:
                raise AnswerTooLargeError(f"{self.where}: the answer is larger than {limit} bytes")
            blocks.append(block)
            deadline.check(self.where)
        return b"".join(blocks)

    def beginning(self, limit: int) -> bytes:
        """Return the first bytes of the content, as far as they come without trouble."""
        start = b""
        with suppress(ClientError):
            for block in self.blocks():
                start += block
                if len(start) >= limit:
                    break
        return start[:limit]

    @abstractmethod
    def close(self) -> None:
        """Give the connection back, or close it if the body has not been read to its end."""


class CarefulIncoming(Incoming):
    """What came over the long road."""

    def __init__(self, response: "httpx.Response", where: str, read_timeout: float) -> None:
        super().__init__(response.status_code, {name.lower(): value for name, value in response.headers.items()}, where)
        self._response = response
        self._expect_body_within(read_timeout)

    def _expect_body_within(self, seconds: float) -> None:
        """Let the wait between two pieces of the body be shorter than the one for the first."""
        timeout = self._response.request.extensions.get("timeout")
        if isinstance(timeout, dict):
            timeout["read"] = min(seconds, timeout.get("read") or seconds)

    def blocks(self) -> Iterator[bytes]:
        """Yield the content, decoded."""
        try:
            yield from self._response.iter_bytes()
        except http_errors() as error:
            failure = failures.transport_failure(self.where, error)
        else:
            return
        # outside of the except block, see Session
        raise failure

    def close(self) -> None:
        """See :class:`Incoming`."""
        self._response.close()


class QuickIncoming(Incoming):
    """What came over the quick road, as it is on the wire."""

    def __init__(self, stream: Stream, where: str) -> None:
        super().__init__(stream.status, stream.headers, where)
        self._stream = stream

    def blocks(self) -> Iterator[bytes]:
        """Yield the content."""
        return self._stream.blocks()

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()


def http_errors() -> "tuple[type[httpx.HTTPError | httpx.StreamError | httpx.InvalidURL], ...]":
    """Return the exceptions of the HTTP library; a function, so that it is loaded no earlier than needed."""
    return httpx.HTTPError, httpx.StreamError, httpx.InvalidURL
