"""What a merge lays annotations over: a layer, or nothing but the annotation itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.dataset.data_format import FACTS, DataFormat
from wkfast.dataset.groups import new_groups
from wkfast.dataset.internals import locations_of, place_of, properties_of
from wkfast.dataset.layer_properties import ELSEWHERE, without
from wkfast.dataset.metadata_files import GROUP_FILES, read_jsons
from wkfast.errors import MergeError, VolumeDataError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer import SegmentationLayer
    from wkfast.dataset.layer_properties import Json, LayerProperties
else:
    np = lazy_import("numpy")

_USUAL_AXES = {"c": 0, "x": 1, "y": 2, "z": 3}


@dataclass(frozen=True)
class MergeBase:
    """A layer that the result is modelled on, as plain data.

    Attributes
    ----------
    name
        Name of the layer, also in the result.
    entry
        Its entry in ``datasource-properties.json``, ``mags`` left out.
    mag_entries
        Entry of every mag by the mag's name.
    locations
        Where the mags lie.
    bounding_box
        Extent in mag-1 voxels.
    voxel_size, unit
        Of the dataset.
    groups, layer_groups
        Zarr group metadata of the dataset's and of the layer's folder, by file name.
    """

    name: str
    entry: Json
    mag_entries: dict[str, Json]
    locations: list[_core.MagLocation]
    bounding_box: BoundingBox
    voxel_size: tuple[float, ...]
    unit: str
    groups: Json
    layer_groups: Json

    def __post_init__(self) -> None:
        if any(part in {"", ".", ".."} for part in self.name.split("/")):
            raise MergeError(f"the layer's name {self.name!r} cannot name a folder")

    @classmethod
    def of_layer(cls, layer: SegmentationLayer, data_format: DataFormat | None = None) -> MergeBase:
        """Return a fallback layer as base.

        Parameters
        ----------
        data_format
            Of a result over a layer that a server streams; default: Zarr v3.

        Raises
        ------
        DatasetError
            It is described badly.
        MergeError
            A format is given, and the layer has its own.
        """
        if not place_of(layer).has_files:
            return cls._of_streamed(layer, data_format or DataFormat.Zarr3)
        refuse_format(data_format)
        properties = properties_of(layer)
        groups, layer_groups = _group_metadata(layer.dataset.path, layer.name)
        properties.dtype_name  # noqa: B018 - refuses a type that cannot be read before anything is planned
        return cls(
            name=layer.name,
            entry=_entry_of(layer),
            mag_entries={properties.mag_of(mag).to_layer_name(): mag for mag in properties.mags},
            locations=locations_of(layer),
            bounding_box=properties.bounding_box,
            voxel_size=layer.dataset.voxel_size_with_unit.factor.to_tuple(),
            unit=layer.dataset.unit,
            groups=groups,
            layer_groups=layer_groups,
        )

    @classmethod
    def _of_streamed(cls, layer: SegmentationLayer, data_format: DataFormat) -> MergeBase:
        """Return a layer that a server streams as base: as a new layer of a format would be described."""
        properties = properties_of(layer)
        locations: list[Any] = [{**location, "format": data_format.value} for location in locations_of(layer)]
        size, unit = layer.dataset.voxel_size_with_unit.factor.to_tuple(), layer.dataset.unit
        paths = sorted((mag, mag.to_layer_name()) for mag in (Mag(location["mag"]) for location in locations))
        groups, layer_groups = new_groups(data_format, paths, size, unit, axes=list(properties.new_axes()))
        return cls(
            name=layer.name,
            entry={**_entry_of(layer), "dataFormat": data_format.value},
            mag_entries={
                Mag(location["mag"]).to_layer_name(): _streamed_mag_entry(location, properties)
                for location in locations
            },
            locations=locations,
            bounding_box=properties.bounding_box,
            voxel_size=size,
            unit=unit,
            groups=groups,
            layer_groups=layer_groups,
        )

    @classmethod
    def of_annotation(
        cls,
        name: str,
        locations: Sequence[_core.MagLocation],
        voxel_size: tuple[float, ...],
        unit: str,
        largest_segment_id: int | None,
    ) -> MergeBase:
        """Return the mags of an annotation as a layer of their own, called `name`. Its box is that of their chunks.

        Parameters
        ----------
        largest_segment_id
            If it is not known, every chunk of the finest mag is read to find out.

        Raises
        ------
        MergeError
            They have no chunk.
        """
        mags = {Mag(location["mag"]): _core.Mag.open(location) for location in locations}
        where = {Mag(location["mag"]): location for location in locations}
        box = _box_of_chunks(mags)
        finest = mags[min(mags)]
        entry: Json = {
            "name": name,
            "category": "segmentation",
            "boundingBox": {},
            "dataFormat": finest.data_format,
            "numChannels": finest.channels,
            "elementClass": finest.dtype,
            "largestSegmentId": _largest(finest) if largest_segment_id is None else largest_segment_id,
        }
        if finest.extra_axes:
            entry["additionalAxes"] = _additional_axes(mags.values(), where[min(mags)])
        return cls(
            name=name,
            entry=entry,
            mag_entries={mag.to_layer_name(): _new_mag_entry(array, where[mag]) for mag, array in mags.items()},
            locations=list(locations),
            bounding_box=box,
            voxel_size=voxel_size,
            unit=unit,
            groups={},
            layer_groups={},
        )

    @property
    def box(self) -> Json:
        """The bounding box, as the core takes it."""
        box = self.bounding_box
        return {"topleft": list(box.topleft.to_tuple()), "size": list(box.size.to_tuple())}

    @property
    def mags(self) -> list[list[int]]:
        """The mags by their factors along x, y, z."""
        return [list(location["mag"]) for location in self.locations]

    def folder(self, mag: Iterable[int]) -> str:
        """Return the folder of a mag within the result."""
        return f"{self.name}/{Mag(list(mag)).to_layer_name()}"


def refuse_format(data_format: DataFormat | None) -> None:
    """Make sure that no format is asked for where there is one to keep.

    Raises
    ------
    MergeError
        One is.
    """
    if data_format is not None:
        raise MergeError("data_format= is for fallbacks that a server streams; others give the result their own")


def _streamed_mag_entry(location: _core.MagLocation, properties: LayerProperties) -> Json:
    entry: Json = {"mag": list(location["mag"])}
    if FACTS[DataFormat(location["format"])].states_edge:
        entry |= _of_files(_core.Mag.open(location))
    entry["axisOrder"] = location.get("axis_order") or properties.new_axes()
    return entry


def _entry_of(layer: SegmentationLayer) -> Json:
    """Return what describes a layer without its mags and what lies beside them."""
    entry = without(properties_of(layer).json, *ELSEWHERE, "resolutions", "mags")
    # Also where the file had other names for them, or none.
    entry["elementClass"] = properties_of(layer).json["elementClass"]
    entry["largestSegmentId"] = layer.largest_segment_id
    return entry


def _box_of_chunks(mags: dict[Mag, _core.Mag]) -> BoundingBox:
    """Return the box around the chunks of all mags, in mag-1 voxels."""
    corners = []
    for mag, array in mags.items():
        chunks = array.chunks()[:, -3:].astype(np.int64)
        edge = np.array(array.chunk_shape) * mag.to_np()
        corners += [chunks * edge, (chunks + 1) * edge]
    every = np.concatenate(corners)
    if not len(every):
        raise MergeError("the volume layer names no fallback layer and has no chunk: there is nothing to merge")
    first, end = every.min(axis=0).tolist(), every.max(axis=0).tolist()
    return BoundingBox(Vec3Int(first), Vec3Int(end) - Vec3Int(first))


def _additional_axes(mags: Iterable[_core.Mag], finest: _core.MagLocation) -> list[Json]:
    """Return what ``additionalAxes`` says of an annotation's mags: as far as there are chunks."""
    mags = list(mags)
    names = mags[0].extra_axes
    order = finest.get("axis_order") or {axis: index for index, axis in enumerate(("c", *names))}
    rows = np.concatenate([array.chunks()[:, : len(names)] for array in mags])
    ends = zip(names, rows.min(axis=0).tolist(), rows.max(axis=0).tolist(), strict=True)
    return [{"name": name, "index": order[name], "bounds": [first, last + 1]} for name, first, last in ends]


def _largest(array: _core.Mag) -> int:
    """Return the largest label of a mag, a chunk at a time."""
    largest = 0
    for *extra, x, y, z in array.chunks().tolist():
        width, height, depth = array.chunk_shape
        voxels = array.read((x * width, y * height, z * depth), array.chunk_shape, extra=extra)
        largest = max(largest, int(voxels.max()))
    return largest


def _new_mag_entry(array: _core.Mag, location: _core.MagLocation) -> Json:
    entry: Json = {"mag": list(location["mag"]), **_of_files(array)}
    if not FACTS[DataFormat(array.data_format)].is_array:
        return entry
    if array.extra_axes and "axis_order" in location:
        entry["axisOrder"] = location["axis_order"]
        return entry
    with suppress(VolumeDataError):  # an array with other axes names them itself
        _core.Mag.open({**location, "axis_order": _USUAL_AXES})
        entry["axisOrder"] = _USUAL_AXES
    return entry


def _of_files(array: _core.Mag) -> dict[str, int]:
    """Return what the list of mags states of the files of one."""
    return FACTS[DataFormat(array.data_format)].of_files(array.chunk_shape[0] * array.chunks_per_shard[0])


def _group_metadata(folder: Path | ObjectPath, layer: str) -> tuple[Json, Json]:
    """Return what the files of Zarr groups hold, by name: those of a dataset's folder, and of its layer's."""
    own = [f"{layer}/{name}" for name in GROUP_FILES]
    found = read_jsons(folder, [*GROUP_FILES, *own])
    of_layer = {file.rpartition("/")[2]: content for file, content in found.items() if file in own}
    return {file: content for file, content in found.items() if file not in own}, of_layer
