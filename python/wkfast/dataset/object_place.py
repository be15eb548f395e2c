"""A dataset in a bucket or on a server of files: where its layers and mags lie in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.buckets import stated_path
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.dataset.place import Place
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag


class ObjectPlace(Place):
    """A folder of objects. Voxels are read from there, chunk by chunk as they are asked for.

    Parameters
    ----------
    root
        The dataset's folder.
    """

    no_folder = "lies in a bucket or on a server, and in no folder of this machine"
    is_near = False

    def __init__(self, root: ObjectPath) -> None:
        self._root = root
        self.read_only_reason = f"it is read where it lies, at {root}; copy it to a folder to change it"

    @property
    def identity(self) -> object:
        """Its address, and how it is reached."""
        return self._root

    @property
    def where(self) -> ObjectPath:
        """The dataset's folder."""
        return self._root

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:
        """Return where a mag lies, as plain data for the core."""
        return object_location(self._mag_path(layer, mag, entry), layer, mag, entry)

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are read from."""
        source: VoxelSource = _core.Mag.open(self.location(layer, mag, entry))
        return KeepsZeros(source, None) if layer.keeps_zeros else source

    def _mag_path(self, layer: LayerProperties, mag: Mag, entry: Json) -> ObjectPath:
        """Return the folder of a mag: its ``path`` if it has one, else the short or the long name, as it exists."""
        path = entry.get("path")
        if path is None:
            folder = self._root / layer.name
            long = folder / mag.to_long_layer_name()
            metadata = FACTS[layer.data_format].metadata
            return long if (long / metadata).is_file() else folder / mag.to_layer_name()
        if is_far(entry):
            return stated_path(str(path), self._root)
        if str(path).startswith("/"):
            raise DatasetError(f"layer {layer.name!r} of {self._root}: {path} is a folder of whoever wrote it")
        return self._root / str(path)


def is_far(entry: Json) -> bool:
    """Return whether a mag lies at an address of its own, in a bucket or on a server."""
    return "://" in str(entry.get("path"))


def object_location(path: ObjectPath, layer: LayerProperties, mag: Mag, entry: Json) -> Json:
    """Return where a mag of `layer` at `path` lies, as plain data for the core: see ``_core.MagLocation``."""
    return {
        "mag": list(mag.to_tuple()),
        "format": layer.data_format.value,
        "container": path.container,
        "prefix": "",
        "axis_order": layer.stored_order(entry),
    }
