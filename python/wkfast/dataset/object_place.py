"""A dataset in a bucket or on a server of files: where its layers and mags lie in it, and how they are made there.

Nothing is renamed in a bucket, and nobody holds a lock of the whole. What is made lies in its place from the start,
which its call has to itself, and is listed when it is complete, by a put that fails if somebody else has changed the
list meanwhile. What is put in the place of something that is listed gets a folder of another name.
"""

from __future__ import annotations

import random
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import ObjectPath, copy_files, stated_path
from wkfast.dataset.claims import Claim, is_free, take
from wkfast.dataset.data_format import FACTS
from wkfast.dataset.files_place import FilesPlace, Site, nothing
from wkfast.dataset.folders import LEFT
from wkfast.dataset.mag_locations import is_far, location_in
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.dataset.properties import FILE_NAME, MOST_BYTES, DatasetProperties
from wkfast.errors import (
    DatasetError,
    DatasetNotFoundError,
    DatasetValueError,
    ExistsError,
    MagNotFoundError,
    ReadOnlyError,
    WkfastError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag

# Why nothing is changed where a server has files and no bucket.
SERVER_OF_FILES = "it lies on a server of files, which can only be read; copy it to a folder or a bucket to change it"
# How often a list is changed anew because somebody else has changed it meanwhile, and how long that waits at most.
_TRIES = 100
_SECONDS = 0.5


class ObjectPlace(FilesPlace):
    """A folder of objects. Voxels are read from there, chunk by chunk as they are asked for.

    Parameters
    ----------
    root
        The dataset's folder.
    read_only_reason
        Why nothing is changed, if so.
    """

    no_folder = "lies in a bucket or on a server, and in no folder of this machine"
    is_near = False

    def __init__(self, root: ObjectPath, read_only_reason: str | None = None) -> None:
        self._root = root
        self.read_only_reason = read_only_reason if root.takes_changes else SERVER_OF_FILES

    @property
    def identity(self) -> object:
        """Its address, and how it is reached."""
        return self._root

    @property
    def where(self) -> ObjectPath:
        """The dataset's folder."""
        return self._root

    def folder(self, layer: LayerProperties) -> ObjectPath:
        """Return the folder of a layer."""
        return self._root / layer.name

    def mag_folder(self, layer: LayerProperties, mag: Mag, entry: Json) -> ObjectPath:
        """Return the folder of a mag: its ``path`` if it has one, else the short or the long name, as it exists."""
        path = entry.get("path")
        if path is None:
            folder = self.folder(layer)
            long = folder / mag.to_long_layer_name()
            metadata = FACTS[layer.data_format].metadata
            return long if (long / metadata).is_file() else folder / mag.to_layer_name()
        if is_far(entry):
            return stated_path(str(path), self._root)
        if str(path).startswith("/"):
            raise DatasetError(f"layer {layer.name!r} of {self._root}: {path} is a folder of whoever wrote it")
        return self._root / str(path)

    def is_foreign(self, folder: Path | ObjectPath | None) -> bool:
        """Return whether voxels in the folder of a mag belong to another dataset."""
        return not (isinstance(folder, ObjectPath) and folder.is_relative_to(self._root))

    def refers(self, layer: LayerProperties, folder: Path | ObjectPath | None) -> bool:
        """Return whether the folder of a mag is not in its layer's own, so that nothing is written through it."""
        return not (isinstance(folder, ObjectPath) and folder.is_relative_to(self.folder(layer)))

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:
        """Return where a mag lies, as plain data for the core."""
        return location_in(self.mag_folder(layer, mag, entry), layer, mag, layer.stored_order(entry))

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are read from."""
        source: VoxelSource
        if self.read_only_reason is None:
            source = _FollowedMag(self, layer, mag, entry)
        else:
            source = _core.Mag.open(self.location(layer, mag, entry))
        return KeepsZeros(source, None) if layer.keeps_zeros else source

    # -- changes --------------------------------------------------------------------------------------------------

    def create(self, properties: DatasetProperties) -> None:
        """Write the properties of a new dataset, if there is nothing yet.

        Raises
        ------
        ExistsError
            There is something already.
        ReadOnlyError
            It is a server of files.
        ObjectStoreError
            There is no such bucket, or the server does not allow it.
        """
        if not self._root.takes_changes:
            raise ReadOnlyError(f"cannot create a dataset at {self._root}: {SERVER_OF_FILES}")
        if self._root.files() or (self._root / FILE_NAME).write_if(properties.text()) is None:
            raise ExistsError(f"cannot create a dataset at {self._root}: there is something already")

    def update(self, properties: DatasetProperties, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change` to ``datasource-properties.json`` as it is now, and take over what others wrote.

        It is applied again to what others have written meanwhile, so that none undoes what another did.
        """
        file, put = self._root / FILE_NAME, None
        for attempt in range(1, _TRIES):
            found = file.read_version(MOST_BYTES)
            if found is None:
                raise DatasetNotFoundError(f"no dataset at {self._root} any more: there is no {FILE_NAME}")
            text, version = found
            if text == put:  # the answer to the last put was lost on its way
                break
            fresh = DatasetProperties.parse(text, self._root)
            change(fresh)
            put = fresh.text()
            if file.write_if(put, version) is not None:
                break
            time.sleep(random.uniform(0, min(_SECONDS, attempt / 50)))  # noqa: S311 - so that not all come again at once
        else:
            raise DatasetError(f"{file}: others change it all the time; try again when they have finished")
        properties.adopt(fresh)

    def add_layers(self, properties: DatasetProperties, entries: Sequence[Json]) -> None:
        """List layers. There may be files in their folders already."""
        properties.check_free(*(entry["name"] for entry in entries))
        for entry in entries:
            self.finish_removal(entry["name"], None)
        self.update(properties, lambda fresh: fresh.add_layers(entries))

    def rename_layer(self, properties: DatasetProperties, old: str, new: str) -> None:
        """Give a layer and its folder another name. Mags of other layers in that folder are found there again.

        The server copies every object, the layer is listed with its new name, and what had the old one is removed.

        Raises
        ------
        DatasetValueError
            There is something of that name. Nothing was changed.
        """
        try:
            properties.check_free(new)
            claim = self.claim(new)
        except ExistsError:
            raise DatasetValueError(f"cannot rename layer {old!r}: there is {new!r} already in {self._root}") from None
        source, held = self._root / old, properties.layer(old).json

        def rename(fresh: DatasetProperties) -> None:
            claim.check()
            fresh.rename_layer(old, new)
            held["name"] = new  # so that it is known as the same entry

        # It holds mags of this layer alone, or stays.
        left = [source] if self.may_remove(properties, source, old) else []
        try:
            _copy_whole(source, claim.folder)
            with self.leaving(left):
                self.update(properties, rename)
        except BaseException:
            if held["name"] == new and not self._is_unlisted(source):
                held["name"] = old
            self.give_up(claim)
            raise
        claim.finish()

    @contextmanager
    def adding(
        self, properties: DatasetProperties, layer: LayerProperties, mag: Mag, spec: _core.NewMag
    ) -> Iterator[Json]:
        """Make an empty mag in its layer's folder and yield its entry for the block to list."""
        claim = self.claim(*self._free(properties, layer, mag))
        try:
            self.made(claim.folder, layer, mag, spec)
            yield self.entry(layer, mag, claim.folder, spec["chunk_shape"][0] * spec["chunks_per_shard"][0])
        except BaseException:
            self.give_up(claim)
            raise
        claim.end()

    def look_again(self, properties: DatasetProperties) -> None:
        """Take over what others have written meanwhile."""
        properties.adopt(DatasetProperties.read(self._root))

    @contextmanager
    def building(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag) -> Iterator[Site]:
        """Yield where a mag is made. What it replaces is removed once it is listed."""
        replaced = [folder for each, folder in self.own_folders(layer) if each == mag]
        claim = self.claim(*self._free(properties, layer, mag))
        replaced = [
            folder
            for folder in replaced
            if self.may_remove(properties, folder, layer.name, mag) and not claim.folder.is_relative_to(folder)
        ]
        try:
            with self.leaving(replaced):
                yield Site(claim.folder, claim.folder, nothing, claim.check)
        except BaseException:
            self.give_up(claim)
            raise
        claim.end()

    def mark(self, folder: ObjectPath) -> None:
        """Say of a folder that it is nobody's unless it is listed."""
        (folder / LEFT).write(b"")

    def unmark(self, folder: ObjectPath) -> None:
        """Take that back."""
        (folder / LEFT).remove()

    def remove(self, folder: ObjectPath) -> None:
        """Remove all objects of a folder, its mark last."""
        folder.remove_folder(LEFT)

    def finish_removal(self, layer_name: str, mag: Mag | None) -> bool:
        """Take away the objects of a layer or mag that is not listed, if a call left them; tell whether it did.

        Raises
        ------
        ExistsError
            Another call is making it.
        """
        if "/" in layer_name or layer_name in {"", ".", ".."}:
            return False  # it is the name of no folder here
        folder = self._root / layer_name
        removed = [self._remove_left(each) for each in ([folder] if mag is None else self._named(folder, mag))]
        return any(removed)

    def _remove_left(self, folder: ObjectPath) -> bool:
        """Remove what a call has left; return whether there was something. See :meth:`FilesPlace._remove_left`."""
        if not is_free(folder) or self.is_listed(folder):
            return False
        self.remove(folder)
        return True

    def unmark_mags(self, layer: LayerProperties) -> None:
        """Forget that mags of a layer were being made, with one request."""
        folders = [folder for _, folder in self.own_folders(layer) if folder.is_relative_to(self._root)]
        self._root.remove_files([f"{folder.relative_to(self._root)}/{LEFT}" for folder in folders])

    def may_remove(
        self, properties: DatasetProperties, folder: Path | ObjectPath, layer_name: str, mag: Mag | None = None
    ) -> bool:
        """Return whether a folder may go with a layer, or with one mag of it.

        It must lie in the dataset's folder, and hold nothing that is listed besides.
        """
        if not isinstance(folder, ObjectPath) or self.is_foreign(folder) or folder == self._root:
            return False
        # By name alone: what is stated as an address may be reached in another way and be there all the same.
        kept = (f"{other.url}/" for other in self.listed_folders(properties, layer_name, mag))
        return not any(other.startswith(f"{folder.url}/") for other in kept)

    def holds(self, layer_name: str) -> bool:
        """Return whether there is something in the folder of a layer, be it listed or not."""
        return bool((self._root / layer_name).files())

    def claim(self, *names: str) -> Claim:
        """Take a folder in which something will be made, and take away what a killed call has left there.

        Raises
        ------
        ExistsError
            There is something that no call has left, or another call is at work there.
        """
        folder = self._root / "/".join(names)
        claim, is_left = take(folder)
        try:
            self._clear(claim, is_left)
        except BaseException:
            claim.end()
            raise
        return claim

    def _clear(self, claim: Claim, is_left: bool) -> None:
        """Remove what lies in a folder that a killed call has left."""
        folder = claim.folder
        if is_left and self.is_listed(folder):
            raise ExistsError(f"{folder}: another call has made it meanwhile; open the dataset anew to see it")
        there = [name for name, _ in folder.files() if name != LEFT]
        if there and not is_left:
            claim.finish()
            raise ExistsError(f"{folder} is in the way, with {there[0]}, though it is not listed; remove it first")
        folder.remove_files(there)

    def give_up(self, claim: Claim) -> None:
        """Remove what was made, unless it is listed, whatever was answered."""
        with suppress(WkfastError):
            if not self.is_listed(claim.folder):
                claim.check()
                claim.folder.remove_folder(LEFT)
        claim.end()

    def own_folders(self, layer: LayerProperties) -> list[tuple[Mag, ObjectPath]]:
        """Return each mag that lies in the dataset by its entry, with its folder."""
        own = [entry for entry in layer.mags if not is_far(entry)]
        with suppress(DatasetError):
            return [(layer.mag_of(entry), self.mag_folder(layer, layer.mag_of(entry), entry)) for entry in own]
        return []

    def _free(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag) -> tuple[str, str]:
        """Return the names of the folder for a mag: of its own name, unless something is listed there."""
        listed = {each.url for each in self.listed_folders(properties, "", None)}
        names = (name for number in range(1, _TRIES) for name in [_numbered(mag.to_layer_name(), number)])
        return layer.name, next(name for name in names if (self.folder(layer) / name).url not in listed)

    @staticmethod
    def _named(folder: ObjectPath, mag: Mag) -> list[ObjectPath]:
        names = [mag.to_layer_name(), mag.to_long_layer_name(), _numbered(mag.to_layer_name(), 2)]
        return [folder / name for name in dict.fromkeys(names)]


def _copy_whole(source: ObjectPath, target: ObjectPath) -> None:
    """Copy a folder that nobody writes meanwhile.

    Raises
    ------
    DatasetError
        Somebody does.
    """
    files = _files_of(source)
    copy_files(source, target, files)
    if _files_of(source) != files:
        raise DatasetError(f"{source}: is written while it is copied; try again afterwards")


def _files_of(folder: ObjectPath) -> list[tuple[str, int]]:
    return sorted(file for file in folder.files() if file[0].rpartition("/")[2] != LEFT)


class _FollowedMag:
    """A mag of a list that may change: where that says that it lies elsewhere now, it is opened there.

    What was removed in a bucket cannot be told from what was never written, so nobody must go on reading there.
    """

    def __init__(self, place: ObjectPlace, layer: LayerProperties, mag: Mag, entry: Json) -> None:
        self._place = place
        self._layer = layer
        self._of = mag
        self._listed = layer.json.get("mags")
        self._location = place.location(layer, mag, entry)
        self._opened = _core.Mag.open(self._location)

    def _now(self) -> _core.Mag:
        listed = self._layer.json.get("mags")
        if listed is not self._listed:
            entry = next((each for each in self._layer.mags if self._layer.mag_of(each) == self._of), None)
            if entry is None:
                raise MagNotFoundError(f"layer {self._layer.name!r} has no mag {self._of} any more")
            location = self._place.location(self._layer, self._of, entry)
            if location != self._location:
                self._location, self._opened = location, _core.Mag.open(location)
            self._listed = listed
        return self._opened

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._now(), name)


class ObjectDraft(ObjectPlace):
    """A dataset's folder for one layer that is not listed yet; nobody else hears of what is changed."""

    def update(self, properties: DatasetProperties, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change`, which is written down nowhere."""
        change(properties)

    def settle(self, layer: LayerProperties, voxel_size: Sequence[float], unit: str) -> None:  # noqa: ARG002 - later
        """Forget that mags were being made. Groups are written once the layer is listed."""
        self.unmark_mags(layer)


def _numbered(name: str, number: int) -> str:
    """Return the name of a folder for what takes a mag's place: one that is the name of no mag."""
    return name if number == 1 else f"{name}.v{number}"
