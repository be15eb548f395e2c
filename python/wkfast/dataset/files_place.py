"""Datasets whose layers are files, in a folder or in a bucket: what both have in common."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast.dataset.data_format import FACTS
from wkfast.dataset.place import WritablePlace
from wkfast.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.properties import DatasetProperties
    from wkfast.geometry import Mag


@dataclass(frozen=True)
class Site:
    """Where a mag is made.

    Attributes
    ----------
    folder
        Where it is written.
    where
        Where it lies in the end.
    place
        Called when all is written: brings it there.
    check
        Called when it is listed, and raises if it must not be.
    """

    folder: Path | ObjectPath
    where: Path | ObjectPath
    place: Callable[[], object]
    check: Callable[[], object]


class FilesPlace(WritablePlace):
    """A folder with ``datasource-properties.json`` in which mags are made out of others."""

    @abstractmethod
    def building(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag) -> AbstractContextManager[Site]:
        """Yield where a mag is made, which the block lists at its end, or puts in the place of the one that is listed.

        If the block does not end well, nothing of it is left.
        """

    @abstractmethod
    def may_remove(
        self, properties: DatasetProperties, folder: Path | ObjectPath, layer_name: str, mag: Mag | None = None
    ) -> bool:
        """Return whether a folder may go with a layer, or with one mag of it.

        It must lie in the dataset's folder, and hold nothing that is listed besides.
        """

    @abstractmethod
    def holds(self, layer_name: str) -> bool:
        """Return whether there is something in the folder of a layer, be it listed or not."""

    def entry(self, layer: LayerProperties, mag: Mag, folder: Path | ObjectPath, edge: int) -> Json:
        """Return the entry of a mag whose files have `edge` voxels along x."""
        further = layer.additional_axes
        axes = {axis: index for index, axis in enumerate(layer.new_axes()) if axis not in further}
        path = f"./{folder.relative_to(self.where).as_posix()}"  # type: ignore[arg-type] # both here or both in a bucket
        more = {"cubeLength": edge} if FACTS[layer.data_format].states_edge else {}
        return {"mag": list(mag.to_tuple()), "path": path, **more, "axisOrder": axes}

    def mag_folders(self, layer: LayerProperties) -> list[tuple[Mag, Any]]:
        """Return each mag with its folder, without those that lie out of the dataset by ``..`` or on a server."""
        folders = []
        for entry in layer.mags:
            mag = layer.mag_of(entry)
            with suppress(DatasetError):
                folder = self.mag_folder(layer, mag, entry)
                folders += [] if folder is None else [(mag, folder)]
        return folders

    def listed_folders(self, properties: DatasetProperties, layer_name: str, mag: Mag | None) -> Iterator[Any]:
        """Yield the folders of all layers and mags but the one layer, or but its one mag."""
        for layer in properties.layers:
            mine = layer.name == layer_name
            if mine and mag is None:
                continue
            yield self.folder(layer)
            yield from (folder for other, folder in self.mag_folders(layer) if not mine or other != mag)
