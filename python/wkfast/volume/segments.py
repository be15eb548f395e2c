"""Segments of a volume layer: what an annotator wrote down about a label."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from wkfast.geometry import Vec3Int
from wkfast.records import (
    MetadataValue,
    Record,
    color_record,
    complete_color,
    kept,
    metadata_from_entries,
    metadata_to_entries,
)


@dataclass
class SegmentInformation:
    """Facts about one segment id. Everything may be missing.

    Attributes
    ----------
    name
        Given by the annotator.
    anchor_position
        A voxel of the segment, in mag-1 voxels.
    color
        Red, green, blue, alpha, each 0 to 1.
    metadata
        Free facts by key.
    creation_time
        Milliseconds since epoch.
    group_id
        Id of the segment group it is in.
    is_visible
        Whether it is shown.
    additional_coordinates
        Coordinates of the anchor along axes beyond x, y, z.

    Examples
    --------
    >>> SegmentInformation(name="Cell A", color=(1.0, 0.0, 0.0, 1.0)).name
    'Cell A'
    """

    name: str | None = None
    anchor_position: Vec3Int | None = None
    color: tuple[float, float, float, float] | None = None
    metadata: dict[str, MetadataValue] = field(default_factory=dict)
    creation_time: int | None = None
    group_id: int | None = None
    is_visible: bool | None = None
    additional_coordinates: dict[str, int] = field(default_factory=dict)
    # The record it was read from, for facts that have no field here.
    _record: Record = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_record(cls, record: Record) -> SegmentInformation:
        """Return the segment that a ``<segment>`` record of the core describes."""
        anchor = record["anchor_position"]
        return cls(
            name=record["name"],
            anchor_position=None if anchor is None else Vec3Int(anchor),
            color=complete_color(record["color"]),
            metadata=metadata_from_entries(record["metadata"]),
            creation_time=record["created"],
            group_id=record["group_id"],
            is_visible=record["is_visible"],
            additional_coordinates=dict(record["additional_coordinates"]),
            _record=kept(record),
        )

    def to_record(self, segment_id: int) -> Record:
        """Return the record to write: this segment's facts over those it was read with."""
        before = self._record
        anchor = self.anchor_position
        return {
            "id": _whole(segment_id),
            "name": self.name,
            "created": self.creation_time,
            "anchor_position": None if anchor is None else list(Vec3Int(anchor).to_tuple()),
            "additional_coordinates": list(self.additional_coordinates.items()),
            "color": color_record(self.color, before.get("color")),
            "group_id": self.group_id,
            "is_visible": self.is_visible,
            "metadata": metadata_to_entries(self.metadata, before.get("metadata", [])),
            "extras": before.get("extras", {"attributes": [], "elements": []}),
        }


def _whole(segment_id: Any) -> int:
    """Return an id as a number, also one that is a text or a float; it must be whole."""
    number = int(segment_id)
    if number != segment_id and not isinstance(segment_id, str):
        raise ValueError("its id is no whole number")
    return number
