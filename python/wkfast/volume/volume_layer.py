"""A volume layer of an annotation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import DataFormat
from wkfast.errors import AnnotationError, VolumeDataMissingError
from wkfast.records import kept
from wkfast.volume.edit_mode import VolumeLayerEditMode
from wkfast.volume.segments import SegmentInformation

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Executor
    from contextlib import AbstractContextManager
    from typing import Any

    import numpy as np

    from wkfast.dataset import Dataset, Layer, SegmentationLayer
    from wkfast.geometry import Vec3Float
    from wkfast.progress import Progress
    from wkfast.records import Record
    from wkfast.volume import editing, export
    from wkfast.volume.volume_data import VolumeData
else:
    # what reads or writes voxels; facts of a layer need none of it
    editing = lazy_import("wkfast.volume.editing")
    export = lazy_import("wkfast.volume.export")

DEFAULT_NAME = "Volume"
LAYER_NAME = "volumeAnnotationData"


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
        As the NML says; the archive's content decides when it is read.
    segments
        Facts by segment id, changeable.
    largest_segment_id
        Largest id in use, if known.
    voxel_size
        Size of a mag-1 voxel in nm.
    dtype
        Type of a voxel, where it was said when the layer was added.
    layer_name
        What the layer is called within its data zip.
    mapping_name
        Agglomerate mapping that was active, if any.
    """

    id: int
    name: str
    fallback_layer_name: str | None = None
    data_format: DataFormat = DataFormat.WKW
    segments: dict[int, SegmentInformation] = field(default_factory=dict)
    largest_segment_id: int | None = None
    voxel_size: Vec3Float | None = None
    dtype: np.dtype[Any] | None = None
    layer_name: str = LAYER_NAME
    mapping_name: str | None = None
    mapping_is_locked: bool | None = None
    data: VolumeData | None = field(default=None, repr=False)
    # Whether an edit is open.
    is_edited: bool = field(default=False, repr=False, compare=False)
    # The record it was read from, for facts that have no field here.
    _record: Record = field(default_factory=dict, repr=False, compare=False)
    if TYPE_CHECKING:
        # None: those of the file, which may be very many; objects are made of them once somebody asks.
        _segments: dict[int, SegmentInformation] | None = field(init=False)

    @classmethod
    def from_record(cls, record: Record, data: VolumeData | None, voxel_size: Vec3Float | None = None) -> VolumeLayer:
        """Return the layer that a ``<volume>`` record of the core describes.

        Parameters
        ----------
        record
            Facts as the core reads them.
        data
            Where the voxels lie; ``None``: the file has none.
        voxel_size
            In nm.
        """
        name = record["name"]
        layer = cls(
            id=record["id"],
            name=DEFAULT_NAME if name is None else name,
            fallback_layer_name=record["fallback_layer"],
            data_format=_as_format(record["format"]),
            largest_segment_id=record["largest_segment_id"],
            voxel_size=voxel_size,
            mapping_name=record["mapping_name"],
            mapping_is_locked=record["mapping_is_locked"],
            data=data,
            _record=kept(record),
        )
        layer._segments = None
        return layer

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

    @property
    def is_new(self) -> bool:
        """Whether it was added here and never edited: it is known to be empty."""
        return not self._record and self.data is None

    def as_layer(self) -> SegmentationLayer:
        """Return the layer for reading, in place: nothing is unpacked, and only directories are read.

        Raises
        ------
        VolumeDataMissingError
            A ``ValueError`` and ``AssertionError``: the voxels are not in the annotation file.
        VolumeDataError
            The data zip is damaged.
        """
        return export.in_place(self)

    def check(self, *, chunks: bool = False) -> None:
        """Make sure that the voxels can be read; warn of what is strange about the data zip.

        Parameters
        ----------
        chunks
            Decode every chunk, instead of looking at directories and metadata only.

        Raises
        ------
        VolumeDataError
            The data zip or a chunk is damaged; the message names it.
        """
        export.check(self, chunks=chunks)

    def export_to_dataset(
        self,
        dataset: Dataset,
        layer_name: str = "volume_layer",
        *,
        threads: int | None = None,
        progress: Progress = None,
    ) -> SegmentationLayer:
        """Add the painted voxels to a dataset as a segmentation; see ``Annotation.export_volume_layer_to_dataset``.

        Parameters
        ----------
        dataset
            A dataset that may be changed.
        layer_name
            Name of the new layer.
        threads
            Default: ``WKFAST_THREADS``, else one per core.
        progress
            ``True`` for a bar, or what is called with chunks done and in all.
        """
        return export.export(self, dataset, layer_name, threads=threads, progress=progress)

    def edit(
        self,
        *,
        edit_mode: VolumeLayerEditMode = VolumeLayerEditMode.TEMPORARY_DIRECTORY,
        executor: Executor | None = None,
        redownsample: bool = False,
        fallback: Layer | None = None,
        progress: Progress = None,
    ) -> AbstractContextManager[SegmentationLayer]:
        """Return a context manager that yields the layer for changes, and takes them over at its end.

        Every chunk that was written to exists from then on, zeros included: over a fallback layer, writing zeros
        erases. A chunk of which only a part is written is zero elsewhere, unless the annotation held it before or
        `fallback` is given; a ``UserWarning`` counts those over a fallback layer. The layer is stored as Zarr
        v3 afterwards, whatever it was; untouched chunks of that form are copied as they are encoded. After an
        exception in the block everything is as it was.

        Parameters
        ----------
        edit_mode
            ``TEMPORARY_DIRECTORY``: the layer is unpacked, and its path can be opened by other processes. ``MEMORY``:
            nothing is unpacked; what is written stays in memory, compressed, so sparse edits of large layers are quick.
        executor
            For scripts of the reference package; the core uses its own threads. ``MEMORY`` takes none with processes.
        redownsample
            Make the coarser mags anew from the finest at the end of the block; otherwise they stay as they are. Only
            for layers without a fallback, in a temporary directory.
        fallback
            The fallback layer: a chunk that is new and written in part takes its other voxels from it, as it does in
            WEBKNOSSOS. Chunks are new by mag: a mag that the layer lacks starts from zeros. Not for layers with
            additional axes.
        progress
            ``True`` for a bar while the changes are taken over, or what is called with chunks done and in all.

        Raises
        ------
        VolumeDataMissingError
            A ``ValueError`` and ``AssertionError``: the voxels are not in the annotation file.
        DatasetValueError
            The mode cannot do what is asked for; `fallback` is another layer than the annotation's, its labels do not
            fit, or one of the two has additional axes.
        AnnotationError
            Another edit of the layer is open.
        VolumeDataError
            The data zip or a chunk is damaged; the layer is as it was.

        Examples
        --------
        >>> import numpy as np
        >>> from wkfast import Annotation
        >>> annotation = Annotation("a", dataset_name="d", voxel_size=(4, 4, 40))
        >>> volume = annotation.add_volume_layer("segmentation")
        >>> with volume.edit() as layer:
        ...     layer.add_mag(1).write(np.full((8, 8, 8), 5, np.uint32), absolute_offset=(0, 0, 0), allow_resize=True)
        >>> volume.largest_segment_id
        5
        """
        return editing.edit(self, edit_mode, executor, redownsample=redownsample, fallback=fallback, progress=progress)

    def require_data(self) -> VolumeData:
        """Return where the voxels lie.

        Raises
        ------
        VolumeDataMissingError
            They are not in the annotation file.
        """
        if self.data is not None:
            return self.data
        where = f"{self.missing_member!r} is not in the annotation zip" if self.missing_member else "its file has none"
        raise VolumeDataMissingError(
            f"the data of volume layer {self.name!r} is not available: {where}. Download the annotation with volume "
            "data, or delete the layer and add one of that name to start from nothing"
        )

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

    def _get_segments(self) -> dict[int, SegmentInformation]:
        if self._segments is None:
            records = self._record["segments"]
            self._segments = {record["id"]: SegmentInformation.from_record(record) for record in records}
        return self._segments

    def _set_segments(self, segments: dict[int, SegmentInformation]) -> None:
        self._segments = segments

    def _segment_records(self) -> Iterable[Record]:
        """Return the segments to write; where the file had an id several times, the earlier ones come along."""
        if self._segments is None:
            unread: Iterable[Record] = self._record["segments"]
            return unread
        earlier: dict[int, list[Record]] = {}
        for record in self._record.get("segments", []):
            earlier.setdefault(record["id"], []).append(record)
        records = []
        for id_, segment in self.segments.items():
            records += earlier.get(id_, [])[:-1]
            records.append(self._segment_record(id_, segment))
        return records

    def _segment_record(self, id_: int, segment: SegmentInformation) -> Record:
        if not isinstance(segment, SegmentInformation):
            raise AnnotationError(f"volume layer {self.name!r}: segment {id_!r} is {segment!r}, no SegmentInformation")
        try:
            return segment.to_record(id_)
        except (TypeError, ValueError) as error:
            raise AnnotationError(f"volume layer {self.name!r}: segment {id_!r} cannot be written: {error}") from error

    def _format_to_write(self) -> str | None:
        """Absence stays absence where the file said nothing and nothing has changed."""
        before: str | None = self._record.get("format")
        unchanged = "format" in self._record and _as_format(before) is self.data_format
        return before if unchanged else self.data_format.value


# Not in the class itself, where it would be taken for the field's default.
VolumeLayer.segments = property(
    VolumeLayer._get_segments, VolumeLayer._set_segments, doc="Segments by id; made when they are asked for."
)  # type: ignore[assignment]


def _as_format(name: str | None) -> DataFormat:
    """Return the format an NML names; one that is not known says nothing, as the data decide."""
    known = {member.value: member for member in DataFormat}
    return known.get(name or "", DataFormat.WKW)


def as_member_name(name: str) -> str:
    """Return a name that is one harmless file name inside a zip.

    Examples
    --------
    >>> as_member_name("my annotation"), as_member_name("../../etc/x")
    ('my annotation', '.._.._etc_x')
    """
    return str(name).replace("/", "_").replace("\\", "_").replace("\0", "_")


_EMPTY_RECORD: Record = {
    "edited_mapping_edges_location": None,
    "edited_mapping_base_mapping_name": None,
    "groups": [],
    "extras": {"attributes": [], "elements": []},
}
