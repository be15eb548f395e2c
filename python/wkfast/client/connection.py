"""A server as one user sees it: routes made into URLs, calls made into JSON."""

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from wkfast.client.context import Context
from wkfast.client.errors import UnexpectedAnswerError
from wkfast.client.exchange import Answer, Call
from wkfast.client.fields import Fields, parse_json
from wkfast.client.records import BuildInfo, User
from wkfast.client.session import Session
from wkfast.client.urls import is_url, join, normalized_base_url, shown
from wkfast.client.versions import chosen_version

_ACCEPT = {"accept": "application/json"}
# gzip pays for lists only; downloads and chunks are compressed already, and records are small
_PACKED = {"accept-encoding": "gzip"}


class Connection:
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
        total, retries = self.context.timeout, self._retries
        return Call(method, url, token=self.context.token, query=query or {}, total=total, retries=retries)

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
        """Return the JSON that a GET brings: a record, by the quick road."""
        return self.send_json(replace(self.call("GET", url, query), small=True))[0]

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
        value, answer = self.send_json(replace(self.call("GET", url), token=None, small=True))
        return BuildInfo.of(Fields(value, answer.where))

    def user(self) -> User:
        """Return the token's owner, asked for once per server and token."""
        key = ("user", self.context.url, self.context.token)
        return self.session.remembered(key, lambda: User.of(self.get_fields(self.api_url("user"))))
