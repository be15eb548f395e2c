"""The facts that users keep with a dataset on a server, as a mapping."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

from wkfast.client.errors import UnexpectedAnswerError
from wkfast.errors import DatasetError

Value = str | int | float | Sequence[str]


class RemoteMetadata(MutableMapping[str, Value]):
    """Texts, numbers and lists of texts by name. Each change goes to the server at once.

    Parameters
    ----------
    fetch, store
        Get the entries from the server, and replace them there.
    """

    def __init__(
        self,
        fetch: Callable[[], Sequence[Mapping[str, Any]]],
        store: Callable[[list[dict[str, Any]]], None],
    ) -> None:
        self._fetch = fetch
        self._store = store

    def __getitem__(self, key: str) -> Value:
        return self._values()[key]

    def __setitem__(self, key: str, value: Value) -> None:
        self.replace({**self._values(), key: value})

    def __delitem__(self, key: str) -> None:
        values = self._values()
        del values[key]
        self.replace(values)

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return f"RemoteMetadata({self._values()!r})"

    def replace(self, values: Mapping[str, Value]) -> None:
        """Make these all there is.

        Raises
        ------
        DatasetError
            A value is neither a text, a number nor a list of texts.
        """
        self._store([_entry(key, value) for key, value in values.items()])

    def _values(self) -> dict[str, Value]:
        return dict(map(_value, self._fetch()))


def _value(entry: Mapping[str, Any]) -> tuple[str, Value]:
    key, value = entry.get("key"), entry.get("value")
    if isinstance(key, str):
        if isinstance(value, str | int | float):
            return key, value
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return key, value
    raise UnexpectedAnswerError(f"the dataset's metadata has an entry that is not understood: {dict(entry)!r:.200}")


def _entry(key: str, value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"key": key, "type": "string", "value": value}
    if isinstance(value, int | float) and not isinstance(value, bool):
        return {"key": key, "type": "number", "value": value}
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return {"key": key, "type": "string[]", "value": list(value)}
    raise DatasetError(f"metadata {key!r}: {value!r} is neither a text, a number nor a list of texts")
