"""Checked access to JSON that a server sent."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn, TypeVar, final

from wkfast.client.errors import NotWebknossosError, UnexpectedAnswerError

T = TypeVar("T")

_MOST_DIGITS = 40


def parse_json(body: bytes, where: str) -> Any:
    """Return the value of a JSON body; ``where`` names the request in errors.

    Raises
    ------
    NotWebknossosError
        The body is HTML: the URL leads to a web page.
    UnexpectedAnswerError
        The body is no JSON.
    """
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_int=_bounded)
    except (ValueError, RecursionError) as error:
        reason = str(error)
    # outside of the except block: the exception of the parser holds the whole body
    if body.lstrip()[:1] == b"<":
        raise NotWebknossosError(
            f"{where}: a web page came instead of data. This is not a WEBKNOSSOS server, "
            "or a proxy stands before it; check the URL (WK_URL)"
        )
    raise UnexpectedAnswerError(f"{where}: the answer is not JSON ({reason})")


def _bounded(digits: str) -> int:
    # what computes with more than ids have would fail far from here
    number = int(digits) if len(digits) <= _MOST_DIGITS else 1 << 64
    if not -(1 << 63) <= number < 1 << 64:
        raise ValueError(f"a whole number of {len(digits)} digits")
    return number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@final
class Fields:
    """A JSON object whose values are checked when they are taken.

    ``None`` and absence are the same. Keys nobody asks for are ignored: servers of other versions have more or fewer.

    Examples
    --------
    >>> fields = Fields({"id": "a", "size": {"value": "9007199254740993", "customJsonEncoding": "bigint"}}, "GET /x")
    >>> fields.text("id"), fields.integer("size"), fields.integer_or_none("gone")
    ('a', 9007199254740993, None)
    """

    def __init__(self, value: object, where: str) -> None:
        if not isinstance(value, Mapping):
            raise UnexpectedAnswerError(f"{where}: expected a JSON object, got {_kind(value)}")
        self._values: Mapping[str, object] = value
        self._where = where

    def text(self, key: str) -> str:
        """Return a string that must be there."""
        return self._required(key, self.text_or_none(key), "a string")

    def text_or_none(self, key: str) -> str | None:
        """Return a string."""
        value = self._values.get(key)
        return value if value is None or isinstance(value, str) else self._refuse(key, value, "a string")

    def integer(self, key: str) -> int:
        """Return an integer that must be there."""
        return self._required(key, self.integer_or_none(key), "an integer")

    def integer_or_none(self, key: str) -> int | None:
        """Return an integer, exact whatever its size: plain, or in the envelope that newer servers use above 2⁵³."""
        value = self._values.get(key)
        if isinstance(value, Mapping) and value.get("customJsonEncoding") == "bigint":
            decimal = _decimal(value.get("value"))
            value = value if decimal is None else decimal
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is None:
            return None
        return (
            value if isinstance(value, int) and not isinstance(value, bool) else self._refuse(key, value, "an integer")
        )

    def boolean_or_none(self, key: str) -> bool | None:
        """Return a truth value."""
        value = self._values.get(key)
        return value if value is None or isinstance(value, bool) else self._refuse(key, value, "true or false")

    def child(self, key: str) -> "Fields":
        """Return an object that must be there."""
        return self._required(key, self.child_or_none(key), "an object")

    def child_or_none(self, key: str) -> "Fields | None":
        """Return an object."""
        value = self._values.get(key)
        return None if value is None else Fields(value, f"{self._where}: {key}")

    def children(self, key: str) -> "Iterator[Fields]":
        """Yield the objects of a list; none where it is absent."""
        return (Fields(item, f"{self._where}: {key}[{index}]") for index, item in enumerate(self.items(key)))

    def items(self, key: str) -> list[Any]:
        """Return a list; empty where it is absent."""
        value = self._values.get(key)
        if value is None:
            return []
        return value if isinstance(value, list) else self._refuse(key, value, "a list")

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; empty where it is absent."""
        values = self.items(key)
        if not all(isinstance(value, str) for value in values):
            self._refuse(key, values, "a list of strings")
        return tuple(values)

    def integers3(self, key: str) -> tuple[int, int, int]:
        """Return three integers that must be there."""
        match self._values.get(key):
            case [int(x), int(y), int(z)]:
                return x, y, z
            case value:
                return self._refuse(key, value, "three integers")

    def numbers3(self, key: str) -> tuple[float, float, float]:
        """Return three finite numbers that must be there."""
        match self._values.get(key):
            case [int() | float() as x, int() | float() as y, int() | float() as z] if all(
                map(math.isfinite, (x, y, z))
            ):
                return float(x), float(y), float(z)
            case value:
                return self._refuse(key, value, "three numbers")

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def raw(self) -> Mapping[str, Any]:
        """Return the object as it came."""
        return self._values

    def is_object(self, key: str) -> bool:
        """Whether the value is an object."""
        return isinstance(self._values.get(key), Mapping)

    def _required(self, key: str, value: T | None, expected: str) -> T:
        return self._refuse(key, None, expected) if value is None else value

    def _refuse(self, key: str, value: object, expected: str) -> NoReturn:
        got = "is missing" if value is None else f"is {_kind(value)}"
        raise UnexpectedAnswerError(f"{self._where}: {key!r} {got}, expected {expected}")


def _decimal(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= _MOST_DIGITS:
        return int(value)
    return None


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), f"the number {value}"[:60])
