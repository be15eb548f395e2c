"""What trees, segments and boxes of an NML have in common: metadata and colours, and the records of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError

if TYPE_CHECKING:
    import numpy as np
else:
    np = lazy_import("numpy")

MetadataValue: TypeAlias = str | int | float | bool | Sequence[str]
Record: TypeAlias = dict[str, Any]
Color: TypeAlias = tuple[float, ...]

# Deeper records are made flat for pickles, which would fail on them. Real ones nest a few deep.
_DEEP = 32


class DeepRecord(dict[str, Any]):
    """A record that nests deeper than pickles and copies go: it does not change, and its pickles are flat."""

    def __deepcopy__(self, _memo: dict[int, Any]) -> DeepRecord:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return _nested, (_flat(self),)


def kept(record: Record) -> Record:
    """Return a record that was read so that it can be pickled and copied however deep it nests.

    Examples
    --------
    >>> record = {}
    >>> for _ in range(500):
    ...     record = {"children": [record]}
    >>> type(kept(record)).__name__, type(kept({"children": []})).__name__
    ('DeepRecord', 'dict')
    >>> import pickle
    >>> again, depth = pickle.loads(pickle.dumps(kept(record))), 0
    >>> while again:
    ...     again, depth = again["children"][0], depth + 1
    >>> depth
    500
    """
    return DeepRecord(record) if nests_deeper(record, _DEEP) else record


def nests_deeper(value: Any, most: int) -> bool:
    """Return whether there are more than `most` lists and dicts in one another.

    Examples
    --------
    >>> nests_deeper([[1], {}], 2), nests_deeper([[[1]], {}], 2), nests_deeper(1, 0)
    (False, True, False)
    """
    level = _containers([value])
    for _ in range(most):
        if not level:
            return False
        level = _containers(each for part in level for each in (part.values() if isinstance(part, dict) else part))
    return bool(level)


def _containers(values: Iterable[Any]) -> list[Any]:
    return [value for value in values if isinstance(value, (dict, list, tuple))]


def _flat(record: Record) -> list[Any]:
    """Return a record's parts, in each the numbers of the parts in it: of a dict ``(keys, values)``, else the values.

    Numbers are in one-element lists, which no value is otherwise.
    """
    parts: list[Any] = [record]
    made: list[Any] = []
    for part in parts:  # which grows meanwhile
        values = []
        for value in part.values() if isinstance(part, dict) else part:
            if isinstance(value, (dict, list, tuple)):
                values.append([len(parts)])
                parts.append(value)
            else:
                values.append(value)
        made.append((list(part) if isinstance(part, dict) else type(part), values))
    return made


def _nested(parts: list[Any]) -> DeepRecord:
    """Return the record of flat parts: those that are in others come after them."""
    made: list[Any] = [None] * len(parts)
    for number in range(len(parts) - 1, -1, -1):
        kind, values = parts[number]
        filled = [made[value[0]] if type(value) is list else value for value in values]
        made[number] = dict(zip(kind, filled, strict=True)) if isinstance(kind, list) else kind(filled)
    return DeepRecord(made[0])


def metadata_from_entries(entries: Iterable[Record]) -> dict[str, MetadataValue]:
    """Return the metadata of ``<metadataEntry>`` records; of several with one key the last.

    An entry that gives no value is an empty list, as the server writes it.

    Examples
    --------
    >>> entry = {"key": "sure", "string": None, "number": None, "bool": True, "list": [], "extras": {}}
    >>> metadata_from_entries([entry])
    {'sure': True}
    """
    return {entry["key"]: _value(entry) for entry in entries}


def metadata_to_entries(metadata: dict[str, Any], before: Sequence[Record] = ()) -> list[Record]:
    """Return the records to write: an entry whose value is still as it was read stays as it was.

    Raises
    ------
    SkeletonError
        A ``ValueError``: NML has no form for a value.

    Examples
    --------
    >>> metadata_to_entries({"labels": ["a", "b"]})[0]["list"]
    [(0, 'a'), (1, 'b')]
    """
    if not isinstance(metadata, Mapping):
        raise SkeletonError(f"metadata are values by their names, not {metadata!r}")
    if _same(metadata, metadata_from_entries(before)):
        return list(before)
    read = {entry["key"]: entry for entry in before}
    entries = []
    for key, value in metadata.items():
        entry = read.get(key)
        unchanged = entry is not None and _same(_value(entry), value)
        entries.append(entry if unchanged and entry is not None else _entry(str(key), value))
    return entries


def normalized_color(color: Iterable[float] | None) -> Color | None:
    """Return RGBA floats; a colour of three numbers gets alpha 1."""
    if color is None:
        return None
    try:
        channels = tuple(float(channel) for channel in color)
    except (TypeError, ValueError, OverflowError):
        channels = ()
    if len(channels) not in {3, 4}:
        raise SkeletonError(f"a color is red, green, blue and perhaps alpha, each from 0 to 1, not {color!r}")
    return channels if len(channels) == 4 else (*channels, 1.0)  # noqa: PLR2004 # red, green, blue, alpha


def complete_color(channels: Sequence[float | None] | None) -> tuple[float, float, float, float] | None:
    """Return RGBA, ``None`` unless red, green and blue are there; a missing alpha is 1.

    Examples
    --------
    >>> complete_color([0.5, 0.0, 1.0, None])
    (0.5, 0.0, 1.0, 1.0)
    >>> complete_color([None, None, None, None]) is None
    True
    """
    if channels is None:
        return None
    red, green, blue, alpha = channels
    if red is None or green is None or blue is None:
        return None
    return red, green, blue, 1.0 if alpha is None else alpha


def color_record(color: Iterable[float] | None, before: list[float | None] | None) -> list[float | None] | None:
    """Return the channels to write: as they were read where the colour is still the same.

    Examples
    --------
    >>> color_record((0.5, 0.0, 1.0, 1.0), [0.5, 0.0, 1.0, None])
    [0.5, 0.0, 1.0, None]
    >>> color_record((1, 0, 0), None)
    [1.0, 0.0, 0.0, 1.0]
    """
    channels = normalized_color(color)
    if channels == complete_color(before):
        return before
    return None if channels is None else list(channels)


def _value(entry: Record) -> MetadataValue:
    for kind in ("string", "number", "bool"):
        value: MetadataValue | None = entry[kind]
        if value is not None:
            return value
    return [text for _, text in entry["list"]]


def _entry(key: str, value: Any) -> Record:
    entry: Record = {"key": key, "string": None, "number": None, "bool": None, "list": []}
    entry["extras"] = {"attributes": [], "elements": []}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        entry["bool"] = value
    elif isinstance(value, str):
        entry["string"] = value
    elif isinstance(value, int | float):
        entry["number"] = _number(key, value)
    elif isinstance(value, Iterable) and not isinstance(value, Mapping | bytes | bytearray):
        entry["list"] = [(i, str(text)) for i, text in enumerate(value)]
    elif value is not None:
        raise SkeletonError(
            f"metadata {key!r}: a value is a text, a number, a boolean or a list of texts, not {value!r}"
        )
    return entry


def _number(key: str, value: float) -> float:
    try:
        return value if -(2**127) <= value < 2**127 else float(value)
    except OverflowError as error:
        raise SkeletonError(f"metadata {key!r}: no number in a file is as large as this one") from error


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal and will be written alike: 1, 1.0 and True are not."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    return bool(type(a) is type(b) and a == b)
