"""Metadata of trees and segments: a plain dict, and the entries it is read from and written to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from wkfast.errors import SkeletonError

MetadataValue: TypeAlias = str | int | float | bool | Sequence[str]
Record: TypeAlias = dict[str, Any]


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
    if _same(metadata, metadata_from_entries(before)):
        return list(before)
    read = {entry["key"]: entry for entry in before}
    entries = []
    for key, value in metadata.items():
        entry = read.get(key)
        unchanged = entry is not None and _same(_value(entry), value)
        entries.append(entry if unchanged and entry is not None else _entry(str(key), value))
    return entries


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
        entry["number"] = value if -(2**127) <= value < 2**127 else float(value)
    elif isinstance(value, Iterable) and not isinstance(value, Mapping | bytes | bytearray):
        entry["list"] = [(i, str(text)) for i, text in enumerate(value)]
    elif value is not None:
        raise SkeletonError(
            f"metadata {key!r}: a value is a text, a number, a boolean or a list of texts, not {value!r}"
        )
    return entry


def _same(a: Any, b: Any) -> bool:
    """Whether two values are equal and will be written alike: 1, 1.0 and True are not."""
    if isinstance(a, dict) and isinstance(b, dict):
        return list(a) == list(b) and all(_same(a[key], b[key]) for key in a)
    return bool(type(a) is type(b) and a == b)
