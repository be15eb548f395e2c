"""Where layers lie: what that is called, whether it can be changed, how a mag of it opens."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.dataset.links import followed
from wkfast.errors import DatasetError, ReadOnlyError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wkfast import _core
    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.properties import DatasetProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag

source_store: Any = lazy_import("wkfast.dataset.source_store")


class Place(ABC):
    """Where layers lie that are only read. Layers and mags ask theirs, and nobody else knows which kinds there are.

    Attributes
    ----------
    read_only_reason
        Why nothing is changed, as a sentence goes on after "is read-only: "; ``None`` in a :class:`WritablePlace`
        that may be changed.
    no_folder
        What layers and mags do instead of lying in a folder.
    is_near
        Whether voxels are read without a network, so that a notebook may show some that nobody asked for.
    has_files
        Whether mags are files of a format, on which others can be modelled; a server that streams makes chunks.
    """

    read_only_reason: str | None = "it is read where it lies"
    no_folder: str = "has no folder"
    is_near: bool = True
    has_files: bool = True

    @property
    def identity(self) -> object:
        """What two that are opened on one dataset have in common: its folder, by whatever path it was reached."""
        try:
            return followed(self.root)
        except DatasetError:
            return id(self)

    @property
    def root(self) -> Path:
        """Folder of the dataset, or the file it is read from.

        Raises
        ------
        DatasetError
            There is none.
        """
        raise DatasetError(f"the dataset {self.no_folder}")

    @property
    def where(self) -> Path | ObjectPath:
        """What opens the dataset again: its folder, or its address."""
        return self.root

    def folder(self, layer: LayerProperties) -> Path | ObjectPath:
        """Return the folder of a layer.

        Raises
        ------
        DatasetError
            It has none.
        """
        raise DatasetError(f"layer {layer.name!r} {self.no_folder}")

    def mag_folder(self, layer: LayerProperties, mag: Mag, entry: Json) -> Path | ObjectPath | None:  # noqa: ARG002 - see FolderPlace
        """Return the folder of a mag, ``None`` where it has none."""
        return None

    def is_foreign(self, folder: Path | ObjectPath | None) -> bool:  # noqa: ARG002 - see FolderPlace
        """Return whether voxels in the folder of a mag belong to another dataset."""
        return False

    def refers(self, layer: LayerProperties, folder: Path | ObjectPath | None) -> bool:  # noqa: ARG002 - see FolderPlace
        """Return whether the folder of a mag is not in its layer's own, so that nothing is written through it."""
        return self.is_foreign(folder)

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:  # noqa: ARG002 - see FolderPlace
        """Return where a mag lies, as plain data for the core: see ``_core.MagLocation``.

        Raises
        ------
        DatasetError
            It has no files here.
        """
        raise DatasetError(f"mag {mag} of layer {layer.name!r} {self.no_folder}, and no files that can be worked on")

    @abstractmethod
    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are read from."""

    def array(self, source: VoxelSource, extent: Sequence[int], name: str) -> Any:
        """Return a mag without a folder as a read-only ``zarr.Array``; `extent` is x, y, z in its voxels."""
        return source_store.source_array(source, extent, name)


class WritablePlace(Place):
    """Where layers and mags are made, changed and removed, unless it says why not."""

    read_only_reason: str | None = None

    @abstractmethod
    def update(self, properties: DatasetProperties, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change` to the properties of the dataset and keep them."""

    @abstractmethod
    def add_layers(self, properties: DatasetProperties, entries: Sequence[Json]) -> None:
        """Add layers whose mags, if any, lie elsewhere: all of them or none."""

    @abstractmethod
    def rename_layer(self, properties: DatasetProperties, old: str, new: str) -> None:
        """Give a layer another name, completely or not at all."""

    def look_again(self, properties: DatasetProperties) -> None:
        """Take over what others have written meanwhile."""

    @abstractmethod
    def adding(
        self, properties: DatasetProperties, layer: LayerProperties, mag: Mag, spec: _core.NewMag
    ) -> AbstractContextManager[Json]:
        """Make an empty mag and yield its entry, which the block lists."""

    @contextmanager
    def listing(self, layer: LayerProperties, added: Json) -> Iterator[None]:  # noqa: ARG002 - elsewhere it is nobody's
        """Take away what was made for a mag if the block, which is to list its entry, does not."""
        yield

    @abstractmethod
    def removal(
        self, properties: DatasetProperties, layer: LayerProperties, mag: Mag | None
    ) -> AbstractContextManager[None]:
        """Remove a mag, or a layer with all of them, if the block ends well; the block takes it off the list."""

    def finish_removal(self, layer_name: str, mag: Mag | None) -> bool:  # noqa: ARG002 - for places that leave something
        """Take away what a removal that failed has left of a layer or mag that is not listed; tell whether it did."""
        return False

    def forsake(self, layer_name: str) -> None:
        """Say of what was made for a layer that is not listed any more that it is nobody's."""

    def settle(self, layer: LayerProperties, voxel_size: Sequence[float], unit: str) -> None:
        """Write down beside the voxels what follows from a changed list of mags."""


def writable(place: Place, what: object) -> WritablePlace:
    """Return `place` as one where changes are made. Every change of a dataset, layer or mag passes here.

    Raises
    ------
    ReadOnlyError
        It is not to be changed. A ``RuntimeError`` and ``ValueError``; the message says why.
    """
    if place.read_only_reason is None and isinstance(place, WritablePlace):
        return place
    raise ReadOnlyError(f"{what} is read-only: {place.read_only_reason}")
