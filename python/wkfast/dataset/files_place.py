"""Datasets whose layers are files, in a folder or in a bucket: what both have in common."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.groups import write_layer_group
from wkfast.dataset.mag_locations import location_in
from wkfast.dataset.place import WritablePlace
from wkfast.dataset.properties import DatasetProperties
from wkfast.errors import BeingMadeError, DatasetError, DatasetValueError, WkfastError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json, LayerProperties
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


def nothing() -> None:
    """Do nothing."""


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
        of_files = FACTS[layer.data_format].of_files(edge)
        return {"mag": list(mag.to_tuple()), "path": path, **of_files, "axisOrder": axes}

    # -- what goes ------------------------------------------------------------------------------------------------

    @abstractmethod
    def mark(self, folder: Any) -> object:
        """Say of a folder that it is nobody's unless it is listed; return what :meth:`remove_marked` knows it by."""

    @abstractmethod
    def unmark(self, folder: Any) -> None:
        """Take that back."""

    @abstractmethod
    def remove(self, folder: Any) -> None:
        """Remove a folder that is marked."""

    @abstractmethod
    def _remove_left(self, folder: Any) -> bool:
        """Remove a folder that is marked, is not listed, and that nobody is at work in; return whether it was so.

        Raises
        ------
        BeingMadeError
            Somebody is at work in it.
        """

    def remove_marked(self, folder: Any, _mark: object) -> None:
        """Remove a folder that was marked a while ago, unless somebody has put another in its place."""
        with suppress(BeingMadeError):
            self._remove_left(folder)

    @contextmanager
    def removal(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag | None) -> Iterator[None]:
        """Remove the files of a mag or layer if the block ends well.

        Their folders are marked before the block takes them off the list: what a killed call leaves is taken away by
        the next that needs the place. Files of other datasets stay, and folders in which other mags lie.
        """
        if mag is None:
            folders = [self.folder(layer)]
        else:
            folders = [folder for each, folder in self.own_folders(layer) if each == mag]
        with self.leaving([each for each in folders if self.may_remove(properties, each, layer.name, mag)]):
            yield

    @contextmanager
    def leaving(self, folders: list[Any]) -> Iterator[None]:
        """Remove folders that the block takes off the list, if it ends well."""
        marked = [(folder, self.mark(folder)) for folder in folders]
        try:
            yield
        except BaseException:
            for folder in folders:
                if not self._is_unlisted(folder):
                    self.unmark(folder)
            raise
        for folder, mark in marked:
            self.remove_marked(folder, mark)

    def is_listed(self, folder: Any) -> bool:
        """Return whether a folder is that of a layer or mag, as the dataset is now."""
        # By name alone: what is stated as an address may be reached in another way and be there all the same.
        listed = self.listed_folders(DatasetProperties.read(self.where), "", None)
        return str(folder) in {str(each) for each in listed}

    def _is_unlisted(self, folder: Any) -> bool:
        """Return whether it is known that a folder is not listed any more, whatever was answered to that."""
        try:
            return not self.is_listed(folder)
        except WkfastError:
            return False

    # -- what is there --------------------------------------------------------------------------------------------

    def made(self, folder: Path | ObjectPath, layer: LayerProperties, mag: Mag, spec: _core.NewMag) -> None:
        """Make an empty mag in a folder.

        Raises
        ------
        DatasetValueError
            The format does not have such a mag.
        """
        order = {axis: index for index, axis in enumerate(layer.new_axes())}
        try:
            _core.Mag.create(self.to_write(location_in(folder, layer, mag, order)), spec)
        except ValueError as error:
            raise DatasetValueError(f"cannot add mag {mag} to layer {layer.name!r}: {error}") from None

    def to_write(self, location: Json) -> Json:
        """Return where a mag lies, for the core to make or write it."""
        return location

    def settle(self, layer: LayerProperties, voxel_size: Sequence[float], unit: str) -> None:
        """Write the group metadata of a layer's folder, and forget that its mags were being made."""
        self.unmark_mags(layer)
        folder = self.folder(layer)
        if self.takes_groups(folder):
            inside = [(mag, each) for mag, each in self.mag_folders(layer) if each.is_relative_to(folder)]
            mags = sorted((mag, each.relative_to(folder).as_posix()) for mag, each in inside)
            write_layer_group(folder, layer.data_format, mags, voxel_size, unit, axes=list(layer.new_axes()))

    def takes_groups(self, _folder: Any) -> bool:
        """Return whether group metadata are written into the folder of a layer."""
        return True

    def unmark_mags(self, layer: LayerProperties) -> None:
        """Forget that mags of a layer were being made."""
        for _, folder in self.own_folders(layer):
            self.unmark(folder)

    def own_folders(self, layer: LayerProperties) -> list[tuple[Mag, Any]]:
        """Return each mag that lies in the dataset, with its folder."""
        return self.mag_folders(layer)

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
