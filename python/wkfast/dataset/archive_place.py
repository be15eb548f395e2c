"""Arrays in a zip file, read where they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast import _core
from wkfast.dataset.place import Place

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast.dataset.array_files import ArrayFiles
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag


class ArchivePlace(Place):
    """A zip file with the arrays of a layer; ``path`` of a mag is where its array lies in it.

    Parameters
    ----------
    files
        The outermost array or group in it.
    """

    no_folder = "lies in an archive and has no folder"

    def __init__(self, files: ArrayFiles) -> None:
        self._path = files.here
        # Kept open: its directory is read once.
        self._archive = files.archive
        self.read_only_reason = f"it is read in place from {files.path}; unpack it, or copy the layer to a dataset"

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_archive": None}

    @property
    def root(self) -> Path:
        """The zip file."""
        return self._path

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:
        """Return where a mag lies, as plain data for the core."""
        container = {"kind": "zip", "path": str(self._path), "member": None}
        order = layer.stored_order(entry)
        place = {"container": container, "prefix": entry["path"], "axis_order": order}
        return {"mag": list(mag.to_tuple()), "format": layer.data_format.value, **place}

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are read from."""
        return _core.Mag.open(self.location(layer, mag, entry))
