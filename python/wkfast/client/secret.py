"""A token that cannot slip into a log, a traceback or a pickle."""

from typing import NoReturn, final

from wkfast.client.errors import ConfigurationError

_SHOWN = "***"


@final
class Secret:
    """A token. Only :meth:`reveal` gives the text away; it is called where the request's headers are made.

    Examples
    --------
    >>> token = Secret("4711")
    >>> token, str(token), f"{token}"
    (Secret(***), '***', '***')
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        stripped = value.strip()
        # a line break would start a header of its own, and the HTTP library quotes the header it refuses
        if not stripped or not all("!" <= char <= "~" for char in stripped):
            raise ConfigurationError("a WEBKNOSSOS token consists of visible ASCII characters; this one does not")
        self._value = stripped

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


def scrubbed(text: str, *secrets: Secret | None) -> str:
    """Return ``text`` without any of the tokens."""
    for secret in secrets:
        if secret is not None:
            text = secret.scrub(text)
    return text
