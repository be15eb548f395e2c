"""The data of an annotation's volume layer: mags inside a zip file, read in place, unpacked, and packed anew."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.buckets import ObjectPath, core_file
from wkfast.dataset.data_format import FACTS, DataFormat
from wkfast.dataset.layer_category import SEGMENTATION_CATEGORY
from wkfast.dataset.layer_properties import ELSEWHERE, KEEPS_ZEROS, LayerProperties, element_class, without
from wkfast.dataset.properties import FILE_NAME
from wkfast.errors import DatasetError, VolumeDataError
from wkfast.geometry import BoundingBox, Mag, Vec3Int

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.layer_properties import Json
else:
    np = lazy_import("numpy")

# What the layer's entry in the zip says of files that do not come along, or is said anew.
_NOT_CARRIED = (*ELSEWHERE, "boundingBox", "mags", "name", KEEPS_ZEROS)


@dataclass(frozen=True)
class DataZip:
    """The mags of one volume layer, in a zip file or in a zip file inside one; only directories have been read.

    Attributes
    ----------
    path, member
        The file, and the member of it that is the data zip, if it is not the file itself.
    mags
        What was found, finest first.
    """

    path: Path | ObjectPath
    member: str | None
    mags: tuple[_core.DiscoveredMag, ...]
    # Keeps the zip open: opening one inside a deflated member means to inflate it.
    _archive: _core.Archive | None
    _dtype: str | None = None

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_archive": None}

    @classmethod
    def open(
        cls, path: Path | ObjectPath, member: str | None = None, declared: str | None = None, *, state: object = None
    ) -> DataZip:
        """Look at the data zip that is `member` of the zip at `path`, or at the one at `path` itself.

        Parameters
        ----------
        declared
            The format that an NML names; a warning says where the data are of another.
        state
            What tells the zip from others of its name, if it lies in a bucket: no other is read.

        Raises
        ------
        VolumeDataError
            It is no zip file, or damaged.
        """
        file = core_file(path, state)
        archive = _core.Archive(file, member)
        known = declared if declared in {each.value for each in FACTS} else None
        found = _core.discover_mags(file, member, declared=known)  # type: ignore[arg-type]
        if isinstance(path, ObjectPath):
            found = [_reached(each, path.zip_container(member, archive.state())) for each in found]
        return cls(path, member, tuple(found), archive)

    @classmethod
    def empty(cls, path: Path, dtype: np.dtype[Any]) -> DataZip:
        """Return what stands for a layer without any data, which would lie at `path`."""
        return cls(path, None, (), None, dtype.name)

    @property
    def description(self) -> Json:
        """The layer's entry in the ``datasource-properties.json`` of the zip; empty where there is none."""
        content = None if self._archive is None else self._archive.read(FILE_NAME)
        if content is None:
            return {} if self._dtype is None else {"elementClass": self._dtype}
        try:
            layers = json.loads(content)["dataLayers"]
            return dict(layers[0]) if layers else {}
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            where = self.path if self.member is None else f"{self.path}!{self.member}"
            raise VolumeDataError(f"{where}!{FILE_NAME} does not describe a layer: {error}") from error

    def layer_json(self, name: str, largest_segment_id: int | None = None) -> Json:
        """Return the entry of ``dataLayers`` for a layer `name` of these mags.

        Facts of the zip's own entry that have not to do with where files lie are carried, also the largest id where
        none is given.
        """
        described = self.description
        carried = without(described, *_NOT_CARRIED)
        entry: Json = {"name": name, "category": SEGMENTATION_CATEGORY, "boundingBox": {}}
        entry |= {
            **carried,
            "category": SEGMENTATION_CATEGORY,
            "dataFormat": self.mags[0]["location"]["format"] if self.mags else DataFormat.Zarr3.value,
            "mags": [_mag_entry(found, name) for found in self.mags],
            "numChannels": self.mags[0]["grid"]["channels"] if self.mags else 1,
            "elementClass": self._element_class(described),
        }
        if largest_segment_id is not None:
            entry["largestSegmentId"] = largest_segment_id
        LayerProperties(entry, self.path).set_bounding_box(self.bounding_box(described))
        return entry

    def _element_class(self, described: Json) -> str:
        if not self.mags:
            return str(described.get("elementClass", "uint32"))
        grid = self.mags[0]["grid"]
        return element_class(np.dtype(grid["voxel_type"]), grid["channels"])

    def bounding_box(self, described: Json | None = None) -> BoundingBox:
        """Return the box in mag-1 voxels: what the zip says, grown to chunks beyond it, else that of the chunks."""
        stated = _stated_box(self.description if described is None else described, self.path)
        boxes = self.finest_chunks()
        if not stated.is_empty():
            low, high = np.array(stated.topleft.to_tuple()), np.array(stated.bottomright.to_tuple())
            beyond = (boxes[:, 1] <= low).any(axis=1) | (boxes[:, 0] >= high).any(axis=1)
            boxes = np.concatenate([boxes[beyond], [[low, high]]])
        if len(boxes) == 0:
            return BoundingBox((0, 0, 0), (0, 0, 0))
        topleft, bottomright = boxes[:, 0].min(axis=0), boxes[:, 1].max(axis=0)
        return BoundingBox(Vec3Int(topleft.tolist()), Vec3Int((bottomright - topleft).tolist()))

    def finest_chunks(self) -> NDArray[np.int64]:
        """Return where chunks of the finest mag with data begin and end: (n, 2, 3), in mag-1 voxels."""
        for found in self.mags:
            if found["chunks"]:
                edge = np.multiply(found["grid"]["chunk_shape"], found["location"]["mag"])
                start = _core.Mag.open(dict(found["location"])).chunks()[:, -3:].astype(np.int64) * edge
                return np.stack([start, start + edge], axis=1)
        return np.zeros((0, 2, 3), np.int64)


def extent_of(box: BoundingBox, mag: Mag | Sequence[int]) -> tuple[int, int, int]:
    """Return how far `box` reaches along x, y, z in voxels of `mag`.

    Examples
    --------
    >>> extent_of(BoundingBox((10, 0, 0), (31, 2, 1)), (2, 2, 1))
    (21, 1, 1)
    """
    x, y, z = (-(-end // edge) for end, edge in zip(box.bottomright.to_tuple(), tuple(mag), strict=True))
    return max(x, 0), max(y, 0), max(z, 0)


def annotation_axes(extra_axes: Sequence[str]) -> Json:
    """Return which axis is which in the arrays of annotations.

    Examples
    --------
    >>> annotation_axes(["t"])
    {'c': 0, 't': 1, 'x': 2, 'y': 3, 'z': 4}
    """
    return {axis: index for index, axis in enumerate(("c", *extra_axes, "x", "y", "z"))}


def _mag_entry(found: _core.DiscoveredMag, folder: str) -> Json:
    location, grid = found["location"], found["grid"]
    facts = FACTS[DataFormat(location["format"])]
    entry: Json = {"mag": list(location["mag"]), "path": f"./{folder}/{Mag(location['mag']).to_layer_name()}"}
    entry |= facts.of_files(grid["chunk_shape"][0] * grid["chunks_per_shard"][0])
    # An array in Zarr that nobody states the order of names its axes itself.
    order = location.get("axis_order") if facts.is_array else annotation_axes([])
    if order:
        entry["axisOrder"] = order
    return entry


def _reached(found: _core.DiscoveredMag, container: _core.Container) -> _core.DiscoveredMag:
    """Return a mag with what reaches it: the core shows no secret in what it has found."""
    location: _core.MagLocation = {**found["location"], "container": container}
    return {**found, "location": location}


def _stated_box(described: Json, file: object) -> BoundingBox:
    try:
        return LayerProperties(described, file).bounding_box
    except DatasetError:
        return BoundingBox((0, 0, 0), (0, 0, 0))


def largest_label(source: DataZip, *, threads: int | None = None) -> int:
    """Return the largest label in the finest mag that has chunks; 0 if there are none."""
    for found in source.mags:
        if found["chunks"]:
            return _core.largest_label(found["location"], threads=threads)
    return 0


def decode_all(source: DataZip) -> None:
    """Decode every chunk of every mag.

    Raises
    ------
    VolumeDataError
        One is damaged; the message names file and chunk.
    """
    for found in source.mags:
        _core.largest_label(found["location"])
