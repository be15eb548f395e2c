"""Where volume layers of annotations lie: in their data zip, or in memory over it while they are edited."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.dataset.data_format import DataFormat
from wkfast.dataset.internals import dataset_at
from wkfast.dataset.layer_properties import KEEPS_ZEROS
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.dataset.place import Place, WritablePlace
from wkfast.dataset.properties import DatasetProperties
from wkfast.errors import DatasetError, DatasetValueError
from wkfast.geometry import Mag
from wkfast.volume.memory_mag import MemoryMag

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer import SegmentationLayer
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.new_chunks import NewChunksOfMags
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.volume.data_zip import DataZip


class ZipPlace(Place):
    """The data zip of a volume layer, read in place."""

    no_folder = "lies in an archive and has no folder"

    def __init__(self, source: DataZip) -> None:
        self._zip = source
        self.is_near = isinstance(source.path, Path)
        self.read_only_reason = f"it is read in place from {source.path}; VolumeLayer.edit changes it"

    @property
    def root(self) -> Path:
        """The zip file."""
        return _on_disk(self._zip)

    @property
    def where(self) -> Path | ObjectPath:
        """The same, or its address."""
        return self._zip.path

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:  # noqa: ARG002 - where it lies is known
        """Return where a mag lies, as plain data for the core."""
        return next(dict(found["location"]) for found in self._zip.mags if Mag(found["location"]["mag"]) == mag)

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are read from."""
        return _core.Mag.open(self.location(layer, mag, entry))


class MemoryPlace(WritablePlace):
    """Memory: what is written stays there, the rest is read from a data zip."""

    no_folder = "lies in memory"

    def __init__(self, source: DataZip, new_chunks: NewChunksOfMags | None = None) -> None:
        self._zip = source
        self._new_chunks = new_chunks
        self.bases = {Mag(found["location"]["mag"]): dict(found["location"]) for found in source.mags}
        self.mags = {mag: self._over(location) for mag, location in self.bases.items()}

    @property
    def root(self) -> Path:
        """The zip file."""
        return _on_disk(self._zip).absolute()

    @property
    def where(self) -> Path | ObjectPath:
        """The same, or its address."""
        return self._zip.path.absolute()

    @property
    def memory(self) -> int:
        """Bytes of all chunks in memory, compressed."""
        return sum(mag.memory for mag in self.mags.values())

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:  # noqa: ARG002 - memory knows
        """Return what voxels of a mag are read from."""
        memory, known = self.mags[mag], self._new_chunks
        return memory if known is None else KeepsZeros(memory, known.of(mag, memory.chunk_shape, memory.chunks))

    def update(self, properties: DatasetProperties, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change`, which is written down nowhere."""
        change(properties)

    def add_layers(self, properties: DatasetProperties, entries: Sequence[Json]) -> None:
        """Add layers without mags."""
        properties.add_layers(entries)

    def rename_layer(self, properties: DatasetProperties, old: str, new: str) -> None:
        """Give a layer another name.

        Raises
        ------
        DatasetValueError
            It is taken.
        """
        if any(layer.name == new for layer in properties.layers):
            raise DatasetValueError(f"cannot rename layer {old!r}: there is {new!r} already")
        properties.layer(old).json["name"] = new

    @contextmanager
    def adding(
        self,
        properties: DatasetProperties,  # noqa: ARG002 - there is one layer
        layer: LayerProperties,
        mag: Mag,
        spec: _core.NewMag,  # noqa: ARG002 - chunks in memory have one shape
    ) -> Iterator[Json]:
        """Make an empty mag, whose chunks have 32³ voxels whatever is asked for, and yield its entry."""
        self.mags[mag] = MemoryMag(None, layer.dtype.name, list(layer.additional_axes))
        axes = {axis: index for index, axis in enumerate(layer.new_axes())}
        yield {"mag": list(mag.to_tuple()), "path": f"./{layer.name}/{mag.to_layer_name()}", "axisOrder": axes}

    @contextmanager
    def removal(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag | None) -> Iterator[None]:  # noqa: ARG002 - there is one layer
        """Forget a mag, or all of them, if the block ends well."""
        yield
        for gone in list(self.mags) if mag is None else [mag]:
            del self.mags[gone]
            self.bases.pop(gone, None)
            if self._new_chunks is not None:
                self._new_chunks.forget(gone)

    def _over(self, location: Json) -> MemoryMag:
        base = _core.Mag.open(location)
        return MemoryMag(base, base.dtype, base.extra_axes)


def _on_disk(source: DataZip) -> Path:
    if isinstance(source.path, Path):
        return source.path
    raise DatasetError(f"{source.path} is no file of this machine")


def layer_in_zip(
    source: DataZip, name: str, voxel_size: Sequence[float], largest_segment_id: int | None
) -> SegmentationLayer:
    """Return the layer called `name` that lies in `source`, for reading."""
    return _layer(ZipPlace(source), source, voxel_size, source.layer_json(name, largest_segment_id))


def layer_in_memory(
    source: DataZip,
    name: str,
    voxel_size: Sequence[float],
    largest_segment_id: int | None,
    new_chunks: NewChunksOfMags | None = None,
) -> SegmentationLayer:
    """Return the layer called `name` over the mags of a data zip; what is written into it stays in memory."""
    entry = {**source.layer_json(name, largest_segment_id), "dataFormat": DataFormat.Zarr3.value, KEEPS_ZEROS: True}
    return _layer(MemoryPlace(source, new_chunks), source, voxel_size, entry)


def _layer(place: Place, source: DataZip, voxel_size: Sequence[float], entry: Json) -> SegmentationLayer:
    properties = DatasetProperties.create(source.path, source.path.stem, voxel_size)
    properties.json["dataLayers"].append(entry)
    return dataset_at(place, properties).get_segmentation_layer(entry["name"])
