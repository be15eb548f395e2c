"""Requests without body, sent by the core: over connections that are kept, straight or by plain proxies."""

import os
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.client import failures
from wkfast.client.call import Batch
from wkfast.client.errors import ClientError
from wkfast.client.retry import Timing
from wkfast.client.secret import Secrets
from wkfast.client.urls import origin

if TYPE_CHECKING:
    import certifi
else:
    certifi = lazy_import("certifi")


class Fetcher:
    """What a session asks servers with.

    Attributes
    ----------
    reached
        Origins that have answered, or taken a connection, at least once.
    """

    def __init__(self) -> None:
        self.reached: set[str] = set()
        self._client = _core.HttpClient()
        self._trusts_more = False
        self._ways: dict[str, str] = {}

    def close(self) -> None:
        """Close the connections that lie idle, and those in use when they are done."""
        self._client.close()

    def idle(self) -> list[tuple[str, int]]:
        """Return how many connections lie idle, by origin and user."""
        return self._client.idle()

    # -- ways -----------------------------------------------------------------------------------------------------

    def way_to(self, server: str) -> str:
        """Return how the environment says that a server is reached, see ``_core.way_to``.

        Raises
        ------
        ConfigurationError
            What it names is no proxy.
        """
        if server not in self._ways:
            with suppress(ValueError):
                self._ways[server] = _core.way_to(server)
        if server not in self._ways:
            raise failures.bad_proxy()
        return self._ways[server]

    def leads_to(self, url: str) -> bool:
        """Whether there is a way to a URL: straight, or by a plain HTTP proxy."""
        return self.way_to(origin(url)) != "foreign"

    def leads_straight_to(self, url: str) -> bool:
        """Whether no proxy stands before a URL's server."""
        return self.way_to(origin(url)) == "straight"

    def proxy_before(self, url: str) -> str | None:
        """Return what messages say of the proxy before a URL's server, if one stands there: no name, no password."""
        return _core.proxy_before(origin(url))

    # -- requests -------------------------------------------------------------------------------------------------

    def request(
        self, method: str, server: str, headers: Mapping[str, str], secrets: Secrets, timing: Timing
    ) -> _core.HttpRequest:
        """Return what is the same in requests to a server.

        Raises
        ------
        BadRequestError
            A header cannot be sent.
        """
        if server.startswith("https:") and not self._trusts_more:
            self._trusts_more = True
            if not os.environ.get("SSL_CERT_FILE"):
                self._client.trust_also(certifi.where())
        try:
            # the secrets go from one call into the other: no variable holds them
            return _core.HttpRequest(
                method, server, list(headers.items()), timing.seconds(),
                secret_headers=list(secrets.headers().items()), secret_query=secrets.encoded_query(),
            )  # fmt: skip
        except ValueError as error:
            refused = failures.unsendable(timing.where, error)
        raise refused

    def get(
        self, request: _core.HttpRequest, server: str, target: str, timing: Timing
    ) -> "_core.HttpAnswer | ClientError":
        """Return the answer to a request, its body unread, or the error."""
        answer = self._client.get(request, target)
        if isinstance(answer, _core.HttpFailure):
            return self.error(answer, server, timing)
        self.reached.add(server)
        return answer

    def batch(self, request: _core.HttpRequest, server: str, batch: Batch, timing: Timing) -> list[int]:
        """Fetch many bodies at once, see :meth:`Session.batch`."""
        left: Any = self._client.batch(
            request, batch.wanted, batch.concurrency, batch.into, batch.meanwhile, batch.settles
        )
        if isinstance(left, _core.HttpFailure):
            raise self.error(left, server, timing)
        if len(left) < len(batch.wanted):
            self.reached.add(server)
        return left  # type: ignore[no-any-return]

    def error(self, failure: _core.HttpFailure, server: str, timing: Timing) -> ClientError:
        """Return the error for what the core could not do."""
        if failure.kind not in failures.UNREACHED:
            self.reached.add(server)
        if failure.kind == "late" or timing.deadline.is_over():
            return timing.deadline.error(timing.where)
        return failures.unanswered(timing.where, failure.kind, failure.text)
