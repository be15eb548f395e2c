"""Tokens that cannot slip into a log, a traceback or a pickle."""

from dataclasses import dataclass
from typing import NoReturn, final
from urllib.parse import urlencode

from wkfast.client.errors import ConfigurationError

_SHOWN = "***"


@final
class Secret:
    """A token. Only :meth:`reveal` gives the text away; it is called where a request is put on its way.

    Examples
    --------
    >>> token = Secret("4711")
    >>> token, str(token), f"{token}"
    (Secret(***), '***', '***')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.strip()
        # from here on no variable holds the text, whatever a traceback shows
        del value
        self._check()

    def _check(self) -> None:
        # a line break would start a header of its own, and the HTTP library quotes the header it refuses
        if not self._value or not all("!" <= char <= "~" for char in self._value):
            raise ConfigurationError("a WEBKNOSSOS token consists of visible ASCII characters; this one does not")

    @classmethod
    def of(cls, value: "str | Secret | None") -> "Secret | None":
        """Return what users give as a token, hidden."""
        return value if value is None or isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """Return the token as text."""
        return self._value

    def scrub(self, text: str) -> str:
        """Return ``text`` without the token, for texts that a server wrote."""
        return text.replace(self._value, _SHOWN)

    def __repr__(self) -> str:
        return f"Secret({_SHOWN})"

    def __str__(self) -> str:
        return _SHOWN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> NoReturn:
        raise TypeError("tokens are not pickled; set WK_TOKEN in the environment of the worker processes")


@dataclass(frozen=True)
class Secrets:
    """What a request carries and nobody may see; also who is asking, so that no connection is shared by two.

    Attributes
    ----------
    token
        Of the user, sent as a header.
    query
        Parts of the query, e.g. a sharing token.
    """

    token: Secret | None = None
    query: tuple[tuple[str, Secret], ...] = ()

    def headers(self) -> dict[str, str]:
        """Return the headers to send."""
        return {} if self.token is None else {"x-auth-token": self.token.reveal()}

    def encoded_query(self) -> str:
        """Return the parts of the query that must not be shown, as they are sent."""
        return urlencode([(key, secret.reveal()) for key, secret in self.query])

    def scrubbed(self, text: str) -> str:
        """Return a text without any of them."""
        for secret in self.all():
            text = secret.scrub(text)
        return text

    def all(self) -> list[Secret]:
        """Return all of them."""
        return [*([] if self.token is None else [self.token]), *(secret for _, secret in self.query)]


NO_SECRETS = Secrets()
