"""A dataset in a folder: where its layers and mags lie in it, and how they are made, renamed and removed there."""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wkfast import _core
from wkfast._short import short
from wkfast.buckets import stated_path
from wkfast.dataset.files_place import FilesPlace, Site, nothing
from wkfast.dataset.folder_drafts import being_made, fresh_folder, remove_left, replaced_folder
from wkfast.dataset.folders import changes_told, is_left, mark_left, remove_folder, unmark_left
from wkfast.dataset.links import followed, is_folder, is_something, is_taken
from wkfast.dataset.mag_locations import is_far, location_in
from wkfast.dataset.new_chunks import KeepsZeros
from wkfast.errors import DatasetError, DatasetValueError, ExistsError, VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterator, Sequence

    from wkfast.buckets import ObjectPath
    from wkfast.dataset.layer_properties import Json, LayerProperties
    from wkfast.dataset.new_chunks import NewChunksOfMags
    from wkfast.dataset.properties import DatasetProperties
    from wkfast.dataset.voxel_source import VoxelSource
    from wkfast.geometry import Mag


class FolderPlace(FilesPlace):
    """A folder on this machine. What is made, changed or removed lies in it, whatever its files or links say.

    Parameters
    ----------
    root
        The dataset's folder.
    read_only_reason
        Why nothing is changed, if so.
    new_chunks
        Takes notice of what is written into layers that keep chunks of zeros.
    """

    def __init__(
        self, root: Path, read_only_reason: str | None = None, new_chunks: NewChunksOfMags | None = None
    ) -> None:
        self._root = root
        self.read_only_reason = read_only_reason
        self._new_chunks = new_chunks

    @property
    def root(self) -> Path:
        """Folder of the dataset."""
        return self._root

    def folder(self, layer: LayerProperties) -> Path:
        """Return the folder of a layer."""
        return self._root / layer.name

    def mag_folder(self, layer: LayerProperties, mag: Mag, entry: Json) -> Path | ObjectPath:
        """Return the folder of a mag, the address of one in a bucket or on a server.

        It is its ``path`` if it has one, else the short or the long name, as it exists.

        Raises
        ------
        DatasetError
            It leads out of the dataset by ``..``.
        """
        return stated_path(str(entry["path"])) if is_far(entry) else self._mag_folder(layer, mag, entry)

    def _mag_folder(self, layer: LayerProperties, mag: Mag, entry: Json) -> Path:
        path = entry.get("path")
        if path is not None:
            return self._inside(layer, str(path))
        short = self.folder(layer) / mag.to_layer_name()
        long = self.folder(layer) / mag.to_long_layer_name()
        return long if is_folder(long) and not is_folder(short) else short

    def _inside(self, layer: LayerProperties, path: str) -> Path:
        climbed = os.path.normpath(path)
        if climbed == ".." or climbed.startswith("../"):
            raise DatasetError(f"layer {layer.name!r}: the path {short(path)} leads out of the dataset {self._root}")
        return self._root / path

    def is_foreign(self, folder: Path | ObjectPath | None) -> bool:
        """Return whether a folder lies in another dataset, with all links followed."""
        if folder is None:
            return True
        return not self._lies_plainly(folder) and not followed(folder).is_relative_to(followed(self._root))

    def refers(self, layer: LayerProperties, folder: Path | ObjectPath | None) -> bool:
        """Return whether the folder of a mag is not in its layer's own, with all links followed."""
        if folder is None:
            return True
        if str(folder).startswith(f"{self._root}/{layer.name}/") and self._lies_plainly(folder):
            return False
        return self.is_foreign(folder) or not followed(folder).is_relative_to(followed(self.folder(layer)))

    def _lies_plainly(self, folder: Path | ObjectPath) -> bool:
        """Return whether no link leads from the dataset's folder to this one, so that it need not be followed."""
        return isinstance(folder, Path) and _core.lies_plainly(self._root, folder)

    def location(self, layer: LayerProperties, mag: Mag, entry: Json) -> Json:
        """Return where a mag lies, as plain data for the core."""
        if is_far(entry):
            return location_in(stated_path(str(entry["path"])), layer, mag, layer.stored_order(entry))
        return location_in(self._mag_folder(layer, mag, entry), layer, mag, layer.stored_order(entry))

    def open(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        """Return what voxels of a mag are read from."""
        source = self._opened(layer, mag, entry)
        if not layer.keeps_zeros:
            return source
        known = self._new_chunks
        return KeepsZeros(source, None if known is None else known.of(mag, source.chunk_shape, source.chunks))

    def _opened(self, layer: LayerProperties, mag: Mag, entry: Json) -> VoxelSource:
        location, is_near = self.location(layer, mag, entry), not is_far(entry)
        where = self.to_write(location) if is_near else location
        try:
            source: VoxelSource = _core.Mag.open(where, follow=is_near)
        except VolumeDataError:
            if not is_near or not self._is_back(layer, mag, entry):
                raise
            source = _core.Mag.open(where, follow=True)
        return source

    def _is_back(self, layer: LayerProperties, mag: Mag, entry: Json) -> bool:
        """Give the folders of a layer and a mag their names back; return whether that was needed."""
        layer_is_back = self._restored(self.folder(layer))
        return self._restored(self._mag_folder(layer, mag, entry)) or layer_is_back

    def _restored(self, folder: Path) -> bool:
        """Give a folder its name back that a call was killed at exchanging, where that takes several steps."""
        if os.path.lexists(folder) or not folder.is_relative_to(self._root):
            return False
        with suppress(VolumeDataError):  # whoever needs the folder says what is wrong with it
            return _core.restore_folder(folder, self._root)
        return False

    def to_write(self, location: Json) -> Json:
        """Return where a mag lies, for the core to make or write it: in the dataset, wherever links lead by then."""
        return location | {"within": str(self._root)}

    # -- changes --------------------------------------------------------------------------------------------------

    @changes_told()
    def update(self, properties: DatasetProperties, change: Callable[[DatasetProperties], None]) -> None:
        """Apply `change` to ``datasource-properties.json`` as it is now, and take over what others wrote."""
        properties.update(change)

    @changes_told()
    def look_again(self, properties: DatasetProperties) -> None:
        """Take over what others have written meanwhile."""
        properties.look_again()

    def own(self, folder: Path, what: str) -> Path:
        """Return a folder that lies in the dataset by itself: not by ``..``, and behind no link.

        Raises
        ------
        DatasetError
            It does not, and nothing is made, changed or removed in it.
        """
        lexical = Path(os.path.normpath(self._root.absolute() / folder.absolute()))
        parent = lexical.parent
        root = Path(os.path.normpath(self._root.absolute()))
        inside = lexical.is_relative_to(root) and lexical != root
        if not inside or followed(parent) != followed(self._root) / parent.relative_to(root):
            raise DatasetError(f"{what}: {folder} leads out of the dataset {self._root} and is not changed")
        return folder

    def reached(self, folder: Path) -> tuple[Path, Path]:
        """Return a folder, and that of the dataset, from which it is reached by names alone."""
        if folder.is_relative_to(self._root):
            return folder, self._root
        root = self._root.absolute()
        return Path(os.path.normpath(root / folder.absolute())), Path(os.path.normpath(root))

    @changes_told()
    def add_layers(self, properties: DatasetProperties, entries: Sequence[Json]) -> None:
        """Make the folders of layers, where there may be files already, and list the layers: all or none."""
        names = [entry["name"] for entry in entries]
        properties.check_free(*names)
        folders = self.vacant(properties, *names)
        new = [folder for folder in folders if not folder.exists()]

        def add(fresh: DatasetProperties) -> None:
            for folder in folders:
                self.check_not_made(folder)
            fresh.add_layers(entries)

        try:
            for folder in folders:
                folder.mkdir(exist_ok=True)
            self.update(properties, add)
        except BaseException:
            for folder in filter(self._is_unlisted, new):
                with suppress(OSError):  # somebody has put something into it
                    folder.rmdir()
            raise

    @changes_told()
    def vacant(self, properties: DatasetProperties, *names: str) -> list[Path]:
        """Return the folders for layers that are not listed, without what killed calls have left there.

        Raises
        ------
        ExistsError
            One is a link, or something else that is no folder.
        """
        self._finish_renamings(properties)
        taken = {layer.name for layer in properties.layers}
        return [self._vacated(name, taken) for name in names]

    def _vacated(self, name: str, taken: Container[str]) -> Path:
        folder = self.own(self._root / name, f"layer {name!r}")
        leads_to = _leads_to(folder)
        if not self._remove_left(folder) and (leads_to == name or leads_to in taken):
            self.remove(folder)
        if folder.is_symlink():
            where = "leads out of the dataset" if self.is_foreign(folder) else "leads elsewhere"
            raise ExistsError(
                f"{folder} is a link that {where}: no layer is made behind it; add_symlink_layer lists a layer of "
                "another dataset, and makes the link itself"
            )
        if os.path.lexists(folder) and not is_folder(folder):
            raise ExistsError(f"{folder} is in the way of a layer: it is no folder")
        return folder

    @changes_told()
    def rename_layer(self, properties: DatasetProperties, old: str, new: str) -> None:
        """Give a layer and its folder another name. Mags of other layers in that folder are found there again.

        A link of the new name leads to the folder while the name is written down and until the two change places, so
        that the layer can be read at any moment. What a killed call leaves of this, the next change completes.

        Raises
        ------
        DatasetValueError
            There is something of that name. Nothing was changed.
        OSError
            The system refuses. Nothing was changed.
        """
        self._finish_renamings(properties)
        source = self.own(self._root / old, f"layer {old!r}")
        target = self._root / new
        begun = _leads_to(target) == old
        taken = f"cannot rename layer {old!r}: there is {new!r} already in {self._root}"
        if any(layer.name == new for layer in properties.layers) or (is_something(target) and not begun):
            raise DatasetValueError(taken)
        if os.path.lexists(source) and not begun:
            try:
                target.symlink_to(source.readlink() if source.is_symlink() else old)
            except FileExistsError:  # somebody was quicker
                raise DatasetValueError(taken) from None
        held, written = properties.layer(old).json, False

        def rename(fresh: DatasetProperties) -> None:
            fresh.rename_layer(old, new)
            held["name"] = new  # so that it is known as the same entry

        try:
            self.update(properties, rename)
            written = True
            self._change_places(source, target)
        except BaseException:
            if written and os.path.lexists(target) and not target.is_symlink():
                self._change_places(source, target)  # they have changed places: it is renamed
                raise
            held["name"] = old
            if written:
                self.update(properties, lambda fresh: fresh.rename_layer(new, old))
            if target.is_symlink():
                target.unlink()
            raise

    def _change_places(self, source: Path, target: Path) -> None:
        """Put a folder in the place of the link to it."""
        if os.path.lexists(source) and not source.is_symlink():
            # The link is what may be left aside where that takes several steps: it tells the next one what was meant.
            _core.exchange_folders(source, target, self._root)
        # A link that cannot be removed is in nobody's way: it leads to itself, and goes with the next change.
        with suppress(OSError):
            source.unlink(missing_ok=True)

    def _finish_renamings(self, properties: DatasetProperties) -> None:
        """Give folders of layers their names where a killed call left links; links to themselves go."""
        names = {layer.name for layer in properties.layers}
        no_folders = {"", ".", "..", *names}
        for link in self._root.iterdir():
            if _leads_to(link) == link.name:
                with suppress(OSError):
                    link.unlink()
        for link in (self._root / name for name in names):
            self._restored(link)
            old = _leads_to(link)
            if "/" not in old and old not in no_folders:
                self._change_places(self._root / old, link)

    @contextmanager
    def adding(
        self, properties: DatasetProperties, layer: LayerProperties, mag: Mag, spec: _core.NewMag
    ) -> Iterator[Json]:
        """Make an empty mag in its layer's folder, complete or not at all, and yield what the block lists."""
        with changes_told():
            folder = self.new_folder(properties, layer, mag)
            self._remove_left(folder)
            if folder.is_symlink() or is_taken(folder):
                self.check_not_made(folder)
                raise ExistsError(f"cannot add mag {mag} to layer {layer.name!r}: there is one already at {folder}")
            with fresh_folder(*self.reached(folder)) as (draft, place):
                self.made(draft, layer, mag, spec)
                self.mark(draft)
                place()
                yield self.entry(layer, mag, folder, spec["chunk_shape"][0] * spec["chunks_per_shard"][0])

    def _remove_left(self, folder: Path) -> bool:
        """Remove a folder that a killed call has left; return whether there was one."""
        return remove_left(*self.reached(folder), lambda: self._is_unlisted(folder))

    def check_not_made(self, folder: Path) -> None:
        """Refuse a folder that somebody has put in its place and not listed yet.

        Raises
        ------
        BeingMadeError
            It is so, or was left at this moment.
        """
        if is_left(folder) and self._is_unlisted(folder):
            raise being_made(folder)

    @contextmanager
    def listing(self, layer: LayerProperties, added: Json) -> Iterator[None]:
        """Take the new folder of a mag away if the block, which is to list its entry, does not."""
        folder = self._mag_folder(layer, layer.mag_of(added), added)
        try:
            yield
        except BaseException:
            if self._is_unlisted(folder):
                with suppress(VolumeDataError):
                    self.remove(folder)
            raise

    @changes_told()
    def new_folder(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag) -> Path:
        """Return the folder that a mag gets."""
        self._finish_renamings(properties)
        return self.own(self.folder(layer) / mag.to_layer_name(), f"mag {mag} of layer {layer.name!r}")

    @contextmanager
    def building(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag) -> Iterator[Site]:
        """Yield a folder beside the one that it becomes when it is placed, and which goes away with the block."""
        folder = next((folder for each, folder in self.mag_folders(layer) if each == mag), None)
        where = self.new_folder(properties, layer, mag) if folder is None else folder
        with replaced_folder(*self.reached(where)) as (draft, place):

            def finish() -> None:
                self.mark(draft)
                place()

            yield Site(draft, where, finish, nothing)

    def holds(self, layer_name: str) -> bool:
        """Return whether there is something in the folder of a layer, be it listed or not."""
        return is_something(self._root / layer_name)

    def takes_groups(self, folder: Path) -> bool:
        """Return whether the folder of a layer lies in the dataset and is no link."""
        return self.owns(folder) and not folder.is_symlink()

    def owns(self, folder: Path) -> bool:
        """Return whether a folder lies in the dataset and behind no link."""
        try:
            self.own(folder, "")
        except DatasetError:
            return False
        return True

    @changes_told()
    def mark(self, folder: Path) -> os.stat_result | None:
        """Say of a folder that it is nobody's unless it is listed; of a link, which takes no mark, return its state."""
        self._restored(folder)
        mark_left(*self.reached(folder))
        return folder.lstat() if folder.is_symlink() else None

    @changes_told()
    def unmark(self, folder: Path | ObjectPath) -> None:
        """Take that back."""
        if isinstance(folder, Path) and self.owns(folder):
            unmark_left(*self.reached(folder))

    def remove(self, folder: Path) -> None:
        """Remove a folder; of a link, the link alone."""
        remove_folder(*self.reached(folder))

    @changes_told()
    @changes_told()
    def remove_marked(self, folder: Path, mark: object) -> None:
        """Remove what was marked a while ago, unless somebody has put another in its place.

        The next folder may have its number: it is known by its lock while it is made, and since by being listed.
        """
        if not isinstance(mark, os.stat_result):
            super().remove_marked(folder, mark)
            return
        with suppress(FileNotFoundError):
            if folder.is_symlink() and os.path.samestat(mark, folder.lstat()):
                self.remove(folder)

    @contextmanager
    def removal(self, properties: DatasetProperties, layer: LayerProperties, mag: Mag | None) -> Iterator[None]:
        """Remove the folders of a mag or layer if the block ends well; see :meth:`FilesPlace.removal`."""
        with changes_told():
            self._finish_renamings(properties)
        with super().removal(properties, layer, mag):
            yield
        if self._new_chunks is not None and mag is not None:
            self._new_chunks.forget(mag)

    @changes_told()
    def finish_removal(self, layer_name: str, mag: Mag | None) -> bool:
        """Take away the folder of a layer or mag that is not listed, if a removal left it; tell whether it did."""
        # Whatever else is asked for is the name of no folder here.
        if layer_name not in {path.name for path in self._root.iterdir()}:
            return False
        folder = self._root / layer_name
        folders = [folder] if mag is None else [folder / mag.to_layer_name(), folder / mag.to_long_layer_name()]
        left = [self.own(each, f"layer {layer_name!r}") for each in folders if is_left(each)]
        removed = [self._remove_left(each) for each in left]
        return any(removed)

    def forsake_draft(self, layer: LayerProperties) -> None:
        """Remove what was made for a layer that could not be listed; where somebody else lists one there, its mags."""
        where = self.folder(layer)
        made = [where, *(folder for _, folder in self.own_folders(layer) if folder.is_relative_to(where))]
        for folder in made:
            if self._is_unlisted(folder):
                self.remove(folder)
        self.unmark(where)

    def forsake(self, layer_name: str) -> None:
        """Say of the folder of a layer that is not listed any more that it is nobody's."""
        folder = self._root / layer_name
        if is_folder(folder) and self.owns(folder) and self._is_unlisted(folder):
            self.mark(folder)

    @changes_told()
    def settle(self, layer: LayerProperties, voxel_size: Sequence[float], unit: str) -> None:
        """Write the group metadata of a layer's folder, and forget that its mags were being made."""
        super().settle(layer, voxel_size, unit)

    @changes_told()
    def may_remove(
        self, properties: DatasetProperties, folder: Path | ObjectPath, layer_name: str, mag: Mag | None = None
    ) -> bool:
        """Return whether `folder` may go with a layer, or with one mag of it.

        It must lie below the dataset's folder and behind no link, and hold nothing that is listed besides. Entries of a
        ``datasource-properties.json`` may name any folder, and several may share one. A link may go itself.
        """
        if not isinstance(folder, Path) or not self.owns(folder):
            return False
        if folder.is_symlink():
            return True
        place = followed(folder)
        kept = [self._root, *self.listed_folders(properties, layer_name, mag)]
        return not any(followed(other).is_relative_to(place) for other in kept)


def _leads_to(link: Path) -> str:
    """Return what a link says; nothing, if it is none, or none any more."""
    try:
        return str(link.readlink()) if link.is_symlink() else ""
    except OSError:
        return ""
