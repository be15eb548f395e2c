"""A volume layer of an annotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wkfast.annotation.segments import Record, SegmentInformation

if TYPE_CHECKING:
    from wkfast.annotation.volume_data import VolumeData

DEFAULT_NAME = "Volume"


@dataclass
class VolumeLayer:
    """Painted voxels over an optional fallback segmentation.

    Attributes
    ----------
    id
        Unique within the annotation.
    name
        Shown to the user; two layers may share it.
    fallback_layer_name
        Segmentation layer of the dataset that shows where nothing is painted.
    data_format
        ``"wkw"`` or ``"zarr3"``, as the NML says; the archive's content decides when it is read.
    segments
        Facts by segment id, changeable.
    largest_segment_id
        Largest id in use, if known.
    mapping_name
        Agglomerate mapping that was active, if any.
    """

    id: int
    name: str
    fallback_layer_name: str | None = None
    data_format: str = "wkw"
    segments: dict[int, SegmentInformation] = field(default_factory=dict)
    largest_segment_id: int | None = None
    mapping_name: str | None = None
    mapping_is_locked: bool | None = None
    data: VolumeData | None = field(default=None, repr=False)
    # The record it was read from, for facts that have no field here.
    _record: Record = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def from_record(cls, record: Record, data: VolumeData | None) -> VolumeLayer:
        """Return the layer that a ``<volume>`` record of the core describes."""
        name = record["name"]
        return cls(
            id=record["id"],
            name=DEFAULT_NAME if name is None else name,
            fallback_layer_name=record["fallback_layer"],
            data_format=record["format"] or "wkw",
            segments={segment["id"]: SegmentInformation.from_record(segment) for segment in record["segments"]},
            largest_segment_id=record["largest_segment_id"],
            mapping_name=record["mapping_name"],
            mapping_is_locked=record["mapping_is_locked"],
            data=data,
            _record=record,
        )

    @property
    def member_name(self) -> str:
        """Name of the data zip within a saved annotation: the one it was loaded with, else id and name."""
        location = self._record.get("location")
        return str(location) if location else f"data_{self.id}_{as_member_name(self.name)}.zip"

    @property
    def missing_member(self) -> str | None:
        """Name of the data zip that the file should hold and does not, else ``None``."""
        location = self._record.get("location")
        return str(location) if location and self.data is None else None

    def to_record(self) -> Record:
        """Return the record to write: this layer's facts over those it was read with."""
        before = self._record
        unnamed = "name" in before and before["name"] is None and self.name == DEFAULT_NAME
        return {
            **_EMPTY_RECORD,
            **before,
            "id": self.id,
            "name": None if unnamed else self.name,
            "location": self.member_name if self.data is not None else before.get("location"),
            "format": self._format_to_write(),
            "fallback_layer": self.fallback_layer_name,
            "largest_segment_id": self.largest_segment_id,
            "mapping_name": self.mapping_name,
            "mapping_is_locked": self.mapping_is_locked,
            "segments": self._segment_records(),
        }

    def _segment_records(self) -> list[Record]:
        """Return the segments to write; where the file had an id several times, the earlier ones come along."""
        earlier: dict[int, list[Record]] = {}
        for record in self._record.get("segments", []):
            earlier.setdefault(record["id"], []).append(record)
        records = []
        for id_, segment in self.segments.items():
            records += earlier.get(id_, [])[:-1]
            records.append(segment.to_record(id_))
        return records

    def _format_to_write(self) -> str | None:
        """Absence stays absence where the file said nothing and nothing has changed."""
        before: str | None = self._record.get("format")
        return before if "format" in self._record and (before or "wkw") == self.data_format else self.data_format


def as_member_name(name: str) -> str:
    """Return a name that is one harmless file name inside a zip.

    Examples
    --------
    >>> as_member_name("my annotation"), as_member_name("../../etc/x")
    ('my annotation', '.._.._etc_x')
    """
    return name.replace("/", "_").replace("\\", "_").replace("\0", "_")


_EMPTY_RECORD: Record = {
    "edited_mapping_edges_location": None,
    "edited_mapping_base_mapping_name": None,
    "groups": [],
    "extras": {"attributes": [], "elements": []},
}
