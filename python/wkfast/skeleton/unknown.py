"""What a file holds that wkfast has no name for, as elements of lxml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml import etree

    from wkfast.records import Record
    from wkfast.skeleton.tree import Tree
else:
    etree = lazy_import("lxml.etree", extra="schema")


def unknown_elements(header: Record, trees: Iterable[Tree]) -> list[etree._Element]:
    """Return the unknown elements of a file in the order of its parts: copies, which change nothing."""
    records = [header, *(tree._record.to_dict() for tree in trees if tree._record is not None)]
    return [_element(record) for part in records for record in _found(part)]


def _found(value: Any) -> Iterator[Record]:
    """Yield the unknown elements below a record, its own first."""
    if isinstance(value, dict):
        extras = value.get("extras") or value
        yield from extras.get("elements", ())
        for name, part in {**value, **extras.get("containers", {})}.items():
            if name not in {"extras", "elements", "containers", "attributes"}:
                yield from _found(part)
    elif isinstance(value, list):
        for part in value:
            yield from _found(part)


def _element(record: Record) -> etree._Element:
    element = etree.Element(record["name"], dict(record["attributes"]))
    element.text = record.get("text") or None
    element.extend(_element(child) for child in record["children"])
    return element
