"""What a file holds that wkfast has no name for, as elements of lxml."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast import _core
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
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            extras = part.get("extras") or part
            yield from extras.get("elements", ())
            parts = {**part, **extras.get("containers", {})}
            below = [parts[name] for name in parts if name not in {"extras", "elements", "containers", "attributes"}]
            pending += reversed(below)
        elif isinstance(part, (list, _core.PackedRecords)):
            pending += reversed(list(part))


def _element(record: Record) -> etree._Element:
    element = etree.Element(record["name"], dict(record["attributes"]))
    pending = [(element, record)]
    while pending:
        parent, facts = pending.pop()
        parent.text = facts.get("text") or None
        for child in facts["children"]:
            below = etree.SubElement(parent, child["name"], dict(child["attributes"]))
            pending.append((below, child))
    return element
