"""Bounding boxes of an annotation and the records they are read from and written to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast.geometry import BoundingBox, NDBoundingBox, Vec3Int
from wkfast.records import Record, color_record, complete_color

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_EXTRAS: Record = {"attributes": [], "elements": []}


def box_from_record(record: Record) -> NDBoundingBox:
    """Return the box of a ``userBoundingBox`` or ``taskBoundingBox`` record; a negative extent is turned round."""
    visible = record["is_visible"]
    return BoundingBox(
        Vec3Int(record["topleft"]),
        Vec3Int(record["size"]),
        name=record["name"],
        is_visible=True if visible is None else visible,
        color=complete_color(record["color"]),
    )


def box_records(boxes: Sequence[NDBoundingBox], before: Sequence[Record]) -> list[Record]:
    """Return the records of user boxes: a box that is still as it was read keeps its record, id included.

    New and changed boxes get the ids after the largest one read.
    """
    unused = [(box_from_record(record), record) for record in before]
    next_id = max((record["id"] for record in before if record["id"] is not None), default=-1) + 1
    records = []
    for box in boxes:
        record = _take(unused, box)
        if record is None:
            record = {**_new_record(box), "id": next_id}
            next_id += 1
        records.append(record)
    return records


def task_box_record(box: NDBoundingBox | None, before: Record | None) -> Record | None:
    """Return the record of the task box; a box that is still as it was read keeps its own."""
    if box is None:
        return None
    if before is not None and _same(box_from_record(before), box):
        return before
    return _new_record(box)


def _take(unused: list[tuple[NDBoundingBox, Record]], box: NDBoundingBox) -> Record | None:
    for i, (candidate, record) in enumerate(unused):
        if _same(candidate, box):
            del unused[i]
            return record
    return None


def _same(a: NDBoundingBox, b: NDBoundingBox) -> bool:
    return _facts(a) == _facts(b)


def _facts(box: NDBoundingBox) -> tuple[Any, ...]:
    color = None if box.color is None else tuple(box.color)
    return tuple(box.topleft.to_tuple()), tuple(box.size.to_tuple()), box.name, box.is_visible, color


def _new_record(box: NDBoundingBox) -> Record:
    return {
        "id": None,
        "name": box.name,
        "is_visible": box.is_visible,
        "color": color_record(box.color, None),
        "topleft": box.topleft_xyz.to_list(),
        "size": box.size_xyz.to_list(),
        "extras": _NO_EXTRAS,
    }
