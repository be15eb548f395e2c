"""A server as one user sees it: routes made into URLs, calls made into JSON, in a version that both sides speak."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from wkfast.client.call import Answer, Call
from wkfast.client.context import Context
from wkfast.client.errors import UnexpectedAnswerError, VersionError
from wkfast.client.failures import may_repeat_unsent
from wkfast.client.fields import Fields, parse_json
from wkfast.client.records import BuildInfo, User
from wkfast.client.secret import NO_SECRETS, Secrets
from wkfast.client.session import Session
from wkfast.client.urls import is_url, join, normalized_base_url, sendable, shown

#: Versions of the REST API that wkfast speaks. They do not differ in any route it uses.
SUPPORTED_VERSIONS = (12, 13, 14)

_FIRST_WITH_DATASTORE_VERSION = 9

_ACCEPT = {"accept": "application/json"}
# gzip pays for lists only; downloads and chunks are compressed already, and records are small
_PACKED = {"accept-encoding": "gzip"}


class Routes:
    """Context and session together: what all groups of routes build on."""

    def __init__(self, context: Context, session: Session, *, retries: int | None = None) -> None:
        self.context = context
        self.session = session
        # further attempts of each call, None for the session's number
        self._retries = retries

    @property
    def version(self) -> int:
        """The API version spoken: the forced one, else the newest common one, asked for once per server."""
        if self.context.api_version is not None:
            return self.context.api_version
        url = self.context.url
        return self.session.remembered(("version", url), lambda: chosen_version(self.build_info(), f"GET {url}"))

    def api_url(self, *segments: str) -> str:
        """Return the URL of a route of the main server."""
        return join(f"{self.context.url}/api/v{self.version}", *segments)

    def call(self, method: str, url: str, query: Mapping[str, str] | None = None) -> Call:
        """Return a call as this client's user, to this server or one of its stores."""
        total, retries, query = self.context.timeout, self._retries, query or {}
        for text in query.values():
            sendable(text, "what is asked for")
        return Call(method, url, Secrets(self.context.token), query, total=total, retries=retries)

    def json_call(self, method: str, url: str, value: Mapping[str, Any]) -> Call:
        """Return a call that sends JSON. It changes something, so it is repeated only if it never arrived."""
        headers = {"content-type": "application/json"}
        return replace(
            self.call(method, url), headers=headers, body=json.dumps(dict(value)).encode(), may_repeat=may_repeat_unsent
        )

    def store_url(self, url: str) -> str:
        """Return the URL of a store that the server named, checked: tokens are sent there.

        Raises
        ------
        UnexpectedAnswerError
            It is no URL, or not encrypted while the server's is.
        """
        if not is_url(url):
            raise UnexpectedAnswerError(f"{self.context.url} names a store at {shown(url)!r}, which is no URL")
        if urlsplit(self.context.url).scheme == "https" and urlsplit(url).scheme != "https":
            raise UnexpectedAnswerError(
                f"{self.context.url} names a store at {shown(url)}: the connection would not be encrypted"
            )
        return normalized_base_url(url)

    def send_json(self, call: Call) -> tuple[object, Answer]:
        """Return the JSON that a call brings, and the whole answer."""
        answer = self.session.send(replace(call, headers={**call.headers, **_ACCEPT}))
        return parse_json(answer.body, answer.where), answer

    def get(self, url: str, query: Mapping[str, str] | None = None) -> object:
        """Return the JSON that a GET brings."""
        return self.send_json(self.call("GET", url, query))[0]

    def get_fields(self, url: str, query: Mapping[str, str] | None = None) -> Fields:
        """Return the JSON object that a GET brings."""
        return Fields(self.get(url, query), f"GET {shown(url)}")

    def get_list(self, url: str, query: Mapping[str, str] | None = None) -> list[Fields]:
        """Return the list of JSON objects that a GET brings."""
        value, _ = self.send_json(replace(self.call("GET", url, query), headers=_PACKED))
        if not isinstance(value, list):
            raise UnexpectedAnswerError(f"GET {shown(url)}: expected a list")
        return [Fields(item, f"GET {shown(url)}: [{index}]") for index, item in enumerate(value)]

    def build_info(self) -> BuildInfo:
        """Return the server's version and the API versions it speaks; no token is sent."""
        url = join(self.context.url, "api", "buildinfo")
        value, answer = self.send_json(replace(self.call("GET", url), secrets=NO_SECRETS))
        return BuildInfo.of(Fields(value, answer.where))

    def user(self) -> User:
        """Return the token's owner, asked for once per server and token."""
        key = ("user", self.context.url, self.context.token)
        return self.session.remembered(key, lambda: User.of(self.get_fields(self.api_url("user"))))


def chosen_version(info: BuildInfo, where: str) -> int:
    """Return the largest version that both sides speak.

    Raises
    ------
    VersionError
        There is none, or the server does not tell its versions.

    Examples
    --------
    >>> chosen_version(BuildInfo("25.11", current_api_version=13, oldest_api_version=5), "GET /api/buildinfo")
    13
    """
    oldest, current = info.oldest_api_version, info.current_api_version
    ours = f"wkfast speaks {SUPPORTED_VERSIONS[0]} to {SUPPORTED_VERSIONS[-1]}"
    if oldest is None or current is None:
        raise VersionError(f"{where}: the server does not tell its API versions, so it is older than version 6; {ours}")
    common = [version for version in SUPPORTED_VERSIONS if oldest <= version <= current]
    if not common:
        newer = "wkfast" if oldest > SUPPORTED_VERSIONS[-1] else "server"
        raise VersionError(
            f"{where}: the server speaks API versions {oldest} to {current}, {ours}. "
            f"A newer {newer} helps; webknossos_context(api_version=…) forces a version"
        )
    return max(common)


def datastore_prefix(version: int) -> str:
    """Return the first path segments of data store routes; servers before version 9 had no version in them."""
    return f"data/v{version}" if version >= _FIRST_WITH_DATASTORE_VERSION else "data"
