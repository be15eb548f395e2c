"""``<meta>`` entries: the annotation's owner and id, and free facts by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast.records import Record

OWNER = "username"
ANNOTATION_ID = "annotationId"


def meta_values(records: Sequence[Record]) -> dict[str, str]:
    """Return content by name; of several entries of one name the last counts.

    Examples
    --------
    >>> meta_values([{"name": "writer", "content": "NmlWriter"}])
    {'writer': 'NmlWriter'}
    """
    return {record["name"]: record["content"] or "" for record in records if record["name"] is not None}


def meta_records(values: dict[str, str | None], before: Sequence[Record]) -> list[Record]:
    """Return the entries to write: those read, with today's values in their old places, then new ones.

    A value of ``None`` removes the entry.
    """
    last = {record["name"]: i for i, record in enumerate(before)}
    records = []
    for i, record in enumerate(before):
        name = record["name"]
        if name is None or (values.get(name) is not None and last[name] != i):
            records.append(record)
        elif values.get(name) is not None:
            records.append(_with_content(record, values[name]))
    added = [name for name, value in values.items() if name not in last and value is not None]
    no_extras: Record = {"attributes": [], "elements": []}
    return [*records, *({"name": name, "content": str(values[name]), "extras": no_extras} for name in added)]


def _with_content(record: Record, content: str | None) -> Record:
    unchanged = (record["content"] or "") == content
    return record if unchanged else {**record, "content": str(content)}
