"""What lies beside the voxels of a segmentation: meshes, agglomerates and the like. Listed and carried, not opened."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

from wkfast._short import short
from wkfast.buckets import ObjectPath, copy_files, stated_path
from wkfast.dataset.folder_copies import copy_folder
from wkfast.dataset.folder_drafts import place_copied
from wkfast.dataset.layer_properties import ATTACHMENTS
from wkfast.dataset.links import followed, is_file, is_folder
from wkfast.dataset.mag_building import folder_place_of
from wkfast.dataset.stated import stated_in
from wkfast.drafts import named
from wkfast.errors import DatasetError, DatasetValueError, ExistsError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.layer_properties import Json


class AttachmentDataFormat(Enum):
    """How an attachment is stored. The value is the name that files hold."""

    Zarr3 = "zarr3"
    HDF5 = "hdf5"
    JSON = "json"
    NeuroglancerPrecomputed = "neuroglancerPrecomputed"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class _Kind:
    """What attachments of a kind are called: in Python, in files and as folder, and one of them alone."""

    container: str
    key: str
    type_name: str
    single: bool = False


_KINDS = (
    _Kind("meshes", "meshes", "mesh"),
    _Kind("agglomerates", "agglomerates", "agglomerate"),
    _Kind("segment_index", "segmentIndex", "segmentIndex", single=True),
    _Kind("segment_statistics", "segmentStatistics", "segmentStatistics", single=True),
    _Kind("cumsum", "cumsum", "cumsum", single=True),
    _Kind("connectomes", "connectomes", "connectome"),
)
_KIND_OF = {kind.container: kind for kind in _KINDS}


@dataclass(frozen=True)
class Attachment:
    """One file or folder beside the voxels.

    Attributes
    ----------
    path
        Where it lies: a folder or file of this machine or of the bucket that the dataset lies in; the text of a URL if
        it is one, or what a server says.
    container_name
        ``meshes``, ``agglomerates``, ``segment_index``, ``segment_statistics``, ``cumsum`` or ``connectomes``.
    """

    name: str
    path: Path | ObjectPath | str
    data_format: AttachmentDataFormat
    container_name: str

    @property
    def type_name(self) -> str:
        """What WEBKNOSSOS calls one of this kind, e.g. ``mesh``."""
        return _KIND_OF[self.container_name].type_name

    @classmethod
    def _of(cls, entry: Any, container: str, root: Path | ObjectPath | None, file: object) -> Attachment:
        try:
            name, path, stored = str(entry["name"]), str(entry["path"]), AttachmentDataFormat(entry["dataFormat"])
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(
                f"{file}: the attachment {short(entry)} is malformed, expected "
                f'{{"name", "path", "dataFormat"}}: {short(error)}'
            ) from None
        local = root is not None and "://" not in path
        return cls(name, root / path if local else path, stored, container)  # type: ignore[operator] # local: there is one


class Attachments:
    """The attachments of a layer, of which there may be none. Obtained as :attr:`SegmentationLayer.attachments`.

    Examples
    --------
    >>> from wkfast import Dataset
    >>> layer = Dataset(tmp_path / "new", voxel_size=(4, 4, 40)).add_layer("labels", "segmentation")
    >>> (tmp_path / "v1.json").touch()
    >>> sizes = Attachment("v1", tmp_path / "v1.json", AttachmentDataFormat.JSON, "cumsum")
    >>> layer.attachments.add_attachment_as_copy(sizes).path.relative_to(tmp_path).as_posix()
    'new/labels/cumsum/v1.json'
    """

    __slots__ = ("_layer",)

    def __init__(self, layer: Layer) -> None:
        self._layer = layer

    @property
    def meshes(self) -> tuple[Attachment, ...]:
        """Meshes, by file."""
        return self._several("meshes")

    @property
    def agglomerates(self) -> tuple[Attachment, ...]:
        """Mappings of segments to agglomerates."""
        return self._several("agglomerates")

    @property
    def connectomes(self) -> tuple[Attachment, ...]:
        """Connectomes of agglomerates."""
        return self._several("connectomes")

    @property
    def segment_index(self) -> Attachment | None:
        """Where each segment has voxels."""
        return self._one("segment_index")

    @property
    def segment_statistics(self) -> Attachment | None:
        """Numbers of each segment, as its volume."""
        return self._one("segment_statistics")

    @property
    def cumsum(self) -> Attachment | None:
        """Volumes summed up."""
        return self._one("cumsum")

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return next(iter(self), None) is None

    def __iter__(self) -> Iterator[Attachment]:
        for kind in _KINDS:
            yield from self._several(kind.container)

    def __repr__(self) -> str:
        return f"Attachments({list(self)})"

    def add_attachment_as_ref(self, attachment: Attachment, *, new_name: str | None = None) -> Attachment:
        """List an attachment that lies where it lies, and return it.

        Parameters
        ----------
        new_name
            Default: as it is called.

        Raises
        ------
        ExistsError
            There is one of its name, or of its kind where there can be only one.
        DatasetError
            It is a link that leads nowhere: in a circle, or to a name that is too long.
        """
        return self._list(replace(_where_it_lies(attachment), name=new_name or attachment.name))

    def add_attachment_as_copy(self, attachment: Attachment) -> Attachment:
        """Copy an attachment into the layer's folder, and return the copy.

        Parameters
        ----------
        attachment
            Of another layer.

        Raises
        ------
        ExistsError
            There is one of its name, or something in its place.
        DatasetError
            It does not lie on this machine, or is not there.
        """
        self._layer._writable()
        stated = attachment.path
        source = stated_path(stated) if isinstance(stated, str) and "://" in stated else stated
        if isinstance(source, str) or not _files_at(source):
            raise DatasetError(f"attachment {attachment.name!r}: there is nothing at {stated} to copy")
        self._check_free(attachment)
        target = self._layer.path / _KIND_OF[attachment.container_name].key / _file_name(attachment)
        if isinstance(target, ObjectPath):
            _copy_to_bucket(source, target)
        else:
            _copy(source, *folder_place_of(self._layer, "a copy").reached(target))
        return self._list(replace(attachment, path=target))

    def _entries(self) -> Json:
        stated = self._layer._properties.json.get(ATTACHMENTS) or {}
        if not isinstance(stated, dict):
            raise DatasetError(
                f"{self._layer._properties.file}: {ATTACHMENTS!r} is {short(stated)}, expected an object"
            )
        return stated

    def _several(self, container: str) -> tuple[Attachment, ...]:
        stated = self._entries().get(_KIND_OF[container].key)
        entries = stated if isinstance(stated, list) else [] if stated is None else [stated]
        file, root = self._layer._properties.file, self._root()
        return tuple(Attachment._of(entry, container, root, file) for entry in entries)

    def _one(self, container: str) -> Attachment | None:
        return next(iter(self._several(container)), None)

    def _root(self) -> Path | ObjectPath | None:
        try:
            return self._layer._place.where.absolute()
        except DatasetError:
            return None

    def _check_free(self, attachment: Attachment) -> None:
        kind = _KIND_OF.get(attachment.container_name)
        if kind is None:
            raise DatasetValueError(f"{attachment} is none of {', '.join(_KIND_OF)}")
        there = self._several(kind.container)
        if any(kind.single or each.name == attachment.name for each in there):
            raise ExistsError(f"layer {self._layer.name!r} has {there[0].name!r} among its {kind.container} already")

    def _list(self, attachment: Attachment) -> Attachment:
        self._layer._writable()
        self._check_free(attachment)
        kind, entry = _KIND_OF[attachment.container_name], _entry_of(attachment, self._root())

        def add(properties: Any) -> None:
            stated = properties.json.get(ATTACHMENTS) or {}
            listed = entry if kind.single else [*(stated.get(kind.key) or []), entry]
            properties.json[ATTACHMENTS] = {**stated, kind.key: listed}

        self._layer._change(add)
        return attachment


def referred_attachments(attachments: Iterable[Attachment], root: Path | ObjectPath) -> Json:
    """Return what the entry of a layer in the dataset at `root` says of attachments that lie where they lie."""
    stated: Json = {}
    for each in map(_where_it_lies, attachments):
        kind, entry = _KIND_OF[each.container_name], _entry_of(each, root)
        if kind.single:
            stated[kind.key] = entry
        else:
            stated.setdefault(kind.key, []).append(entry)
    return {ATTACHMENTS: stated} if stated else {}


def _where_it_lies(attachment: Attachment) -> Attachment:
    return attachment if isinstance(attachment.path, str) else replace(attachment, path=followed(attachment.path))


def _entry_of(attachment: Attachment, root: Path | ObjectPath | None) -> Json:
    path = attachment.path
    shown = str(path) if isinstance(path, str) or root is None else stated_in(path, root)
    return {"name": attachment.name, "path": shown, "dataFormat": attachment.data_format.value}


def _file_name(attachment: Attachment) -> str:
    suffix = {AttachmentDataFormat.HDF5: ".hdf5", AttachmentDataFormat.JSON: ".json"}.get(attachment.data_format, "")
    return attachment.name if attachment.name.endswith(suffix) else attachment.name + suffix


def _files_at(path: Path | ObjectPath) -> list[tuple[str, int]]:
    """Return the files at a path, and the bytes of each: one without a name if it is a file itself."""
    if isinstance(path, ObjectPath):
        size = path.size()
        return path.files() if size is None else [("", size)]
    if is_file(path):
        return [("", path.stat().st_size)]
    if not is_folder(path):
        return []
    return [(each.relative_to(path).as_posix(), each.stat().st_size) for each in path.rglob("*") if each.is_file()]


def _copy_to_bucket(source: Path | ObjectPath, target: ObjectPath) -> None:
    if _files_at(target):
        raise ExistsError(f"there is something at {target} already")
    copy_files(source, target, _files_at(source))


def _copy(source: Path | ObjectPath, target: Path, within: Path) -> None:
    """Copy a file or folder to where nothing is, complete or not at all; behind no link from `within` on."""
    if os.path.lexists(target):
        raise ExistsError(f"there is something at {target} already")
    with place_copied(target, within) as draft:
        if isinstance(source, ObjectPath):
            _fetch(source, draft)
        elif source.is_dir():
            copy_folder(source, draft)
        else:
            # a new one: what anybody has put there meanwhile is not written to
            with source.open("rb") as old, named(target), draft.open("xb") as new:
                shutil.copyfileobj(old, new)


def _fetch(source: ObjectPath, draft: Path) -> None:
    files = _files_at(source)
    if files != [("", source.size())]:
        draft.mkdir()
    copy_files(source, draft, files)
