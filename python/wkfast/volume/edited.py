"""Layers of an annotation while they are edited: what is written exists, zeros included, as erasures must."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.dataset.dataset import Dataset
from wkfast.dataset.layer import SegmentationLayer
from wkfast.dataset.mag_view import MagView
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.dataset.properties import FILE_NAME, DatasetProperties
from wkfast.errors import DatasetError
from wkfast.geometry import Mag
from wkfast.volume.memory_mag import MemoryMag

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.new_chunks import NewChunksOfMags
    from wkfast.dataset.properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Vec3IntLike
    from wkfast.volume.data_zip import DataZip

# What WEBKNOSSOS stores as one: no shard makes a small edit rewrite more.
BUCKET = 32


class EditedLayer(SegmentationLayer):
    """A layer in a folder whose chunks of zeros are kept."""

    def __init__(
        self, dataset: Dataset, properties: LayerProperties, new_chunks: NewChunksOfMags | None = None
    ) -> None:
        super().__init__(dataset, properties)
        self._new_chunks = new_chunks

    def _source(self, mag: Mag, entry: Json) -> VoxelSource:
        opened = _core.Mag.open(self._location(mag, entry))
        new = None if self._new_chunks is None else self._new_chunks.of(mag, opened.chunk_shape, opened.chunks)
        return KeepsZeros(opened, new)

    def add_mag(
        self,
        mag: Any,
        *,
        chunk_shape: Vec3IntLike | int | None = None,
        shard_shape: Vec3IntLike | int | None = None,
        chunks_per_shard: Vec3IntLike | int | None = None,
        compress: bool = True,
    ) -> MagView:
        """Create an empty mag and return it; see :meth:`Layer.add_mag`. By default every chunk is a file of its own."""
        if shard_shape is None and chunks_per_shard is None:
            chunks_per_shard = 1
        return super().add_mag(
            mag,
            chunk_shape=chunk_shape,
            shard_shape=shard_shape,
            chunks_per_shard=chunks_per_shard,
            compress=compress,
        )

    def delete_mag(self, mag: Any) -> None:
        """Delete a mag with its voxels; see :meth:`Layer.delete_mag`."""
        wanted = self.get_mag(mag).mag
        super().delete_mag(wanted)
        if self._new_chunks is not None:
            self._new_chunks.forget(wanted)

    def pack_source(self, mag: Mag) -> _core.PackInput:
        """Return what is packed of a mag."""
        entry = next(entry for entry in self.properties.mags if self.properties.mag_of(entry) == mag)
        location = self._location(mag, entry)
        return _pack_input(_core.Mag.open(location), location, None)


class MemoryLayer(SegmentationLayer):
    """A layer without files: what is written stays in memory, the rest is read from a data zip."""

    def __init__(self, dataset: Dataset, name: str, source: DataZip, new_chunks: NewChunksOfMags | None = None) -> None:
        super().__init__(dataset, dataset._properties.layer(name))
        self._new_chunks = new_chunks
        self._base = {Mag(found["location"]["mag"]): dict(found["location"]) for found in source.mags}
        self._memory: dict[Mag, MemoryMag] = {mag: self._over(location) for mag, location in self._base.items()}

    @classmethod
    def of(
        cls,
        source: DataZip,
        name: str,
        voxel_size: Sequence[float],
        largest_segment_id: int | None,
        new_chunks: NewChunksOfMags | None = None,
    ) -> MemoryLayer:
        """Return the layer called `name` over the mags of a data zip."""
        entry = {**source.layer_json(name), "dataFormat": "zarr3"}
        if largest_segment_id is not None:
            entry["largestSegmentId"] = largest_segment_id
        plain = DatasetProperties.create(source.path.absolute(), source.path.stem, voxel_size)
        plain.json["dataLayers"].append(entry)
        dataset = Dataset.of_properties(_MemoryProperties(plain.json, source.path.absolute() / FILE_NAME))
        return cls(dataset, name, source, new_chunks)

    @property
    def memory(self) -> int:
        """Bytes of all chunks in memory, compressed."""
        return sum(mag.memory for mag in self._memory.values())

    def add_mag(self, mag: Any, **_shapes: Any) -> MagView:
        """Add an empty mag and return it. Its chunks have 32³ voxels, whatever is asked for.

        Raises
        ------
        DatasetError
            There is one already.
        """
        wanted = Mag(mag)
        if wanted in self._memory:
            raise DatasetError(f"layer {self.name!r} has the mag {wanted} already")
        self._memory[wanted] = MemoryMag(None, self.dtype.name, list(self.properties.additional_axes))
        axes = {axis: place for place, axis in enumerate(self.new_axes())}
        added = {"mag": list(wanted.to_tuple()), "path": f"./{self.name}/{wanted.to_layer_name()}", "axisOrder": axes}
        self._change(lambda entry: entry.set_mags([*entry.mags, added]))
        return self.get_mag(wanted)

    def delete_mag(self, mag: Any) -> None:
        """Take a mag out of the layer.

        Raises
        ------
        MagNotFoundError
            There is none; the message lists those there are.
        """
        wanted = self.get_mag(mag).mag
        self._change(
            lambda entry: entry.set_mags([each for each in entry.mags if entry.mag_of(each) != wanted]),
        )
        del self._memory[wanted]
        self._base.pop(wanted, None)
        if self._new_chunks is not None:
            self._new_chunks.forget(wanted)

    def pack_source(self, mag: Mag) -> _core.PackInput:
        """Return what is packed of a mag."""
        memory = self._memory[mag]
        return _pack_input(memory, self._base.get(mag), (memory.written(), memory.chunk_bytes))

    def _open(self, mag: Mag, entry: Json) -> MagView:  # noqa: ARG002 - the entry says nothing of memory
        memory = self._memory[mag]
        if self._new_chunks is None:
            return _MemoryMagView(self, mag, memory, None)
        new = self._new_chunks.of(mag, memory.chunk_shape, memory.chunks)
        return _MemoryMagView(self, mag, KeepsZeros(memory, new), None)

    def _over(self, location: Json) -> MemoryMag:
        base = _core.Mag.open(location)
        return MemoryMag(base, base.dtype, base.extra_axes)


class _MemoryMagView(MagView):
    """A mag in memory."""

    @property
    def is_foreign(self) -> bool:
        """Whether the voxels belong to another dataset: the changes are this layer's own."""
        return False


class _MemoryProperties(DatasetProperties):
    """Properties that are nowhere written down."""

    def write(self) -> None:
        pass

    def update(self, change: Callable[[DatasetProperties], None]) -> None:
        change(self)


class _EditedDataset(Dataset):
    """The dataset of an edited layer, which knows its layer as the edited one."""

    def __init__(self, properties: DatasetProperties, edited: LayerProperties, new: NewChunksOfMags | None) -> None:
        self._properties = properties
        self._read_only = False
        self._edited = edited
        self._new_chunks = new

    def _wrap(self, properties: LayerProperties) -> Layer:
        if properties.json is self._edited.json:
            return EditedLayer(self, properties, self._new_chunks)
        return super()._wrap(properties)


def edited_in_folder(layer: SegmentationLayer, new_chunks: NewChunksOfMags | None) -> EditedLayer:
    """Return `layer` as one that keeps chunks of zeros, however it is reached from its dataset."""
    dataset = _EditedDataset(layer.dataset._properties, layer.properties, new_chunks)
    return EditedLayer(dataset, layer.properties, new_chunks)


def _pack_input(mag: VoxelSource, source: Json | None, overlay: Any) -> _core.PackInput:
    grid = {
        "voxel_type": mag.dtype,
        "channels": mag.channels,
        "chunk_shape": mag.chunk_shape,
        "chunks_per_shard": mag.chunks_per_shard,
        "extra_axes": mag.extra_axes,
    }
    return {
        "folder": "",
        "grid": grid,
        "source": source,
        "before": None,
        "overlay": overlay,
        "extent": (0, 0, 0),
        "count": "none",
    }
