"""Where the voxels of a volume layer lie: a zip inside the annotation's zip, read in place, or a temporary one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.buckets import ObjectPath
from wkfast.errors import VolumeDataError
from wkfast.geometry import Mag
from wkfast.temporary import KeptFolder

if TYPE_CHECKING:
    from collections.abc import Iterable

    from wkfast.dataset import DataFormat
    from wkfast.volume import data_zip
    from wkfast.volume.data_zip import DataZip
else:
    data_zip = lazy_import("wkfast.volume.data_zip")


class MagSummary(TypedDict):
    """One mag of a volume layer, from the archive's directory alone."""

    mag: str
    chunks: int
    stored_bytes: int
    dtype: str


class TemporaryFile:
    """A path for a file that is removed when nothing refers to this object any more."""

    def __init__(self, suffix: str) -> None:
        name = f"data{suffix}"
        self._folder = KeptFolder("volume", single=name)
        self.path = self._folder.path / name


@dataclass(frozen=True)
class VolumeData:
    """A data zip, and what tells that the file is still the one that was loaded.

    Attributes
    ----------
    path, member
        The annotation's zip and the data zip in it, or the data zip itself and ``None``.
    state
        What tells the file at the path from another one.
    """

    path: Path | ObjectPath
    member: str | None
    state: object
    # Removes a temporary file when the last reference goes.
    _keeper: TemporaryFile | None = field(default=None, repr=False, compare=False)

    @classmethod
    def all_at(cls, path: Path | ObjectPath, members: Iterable[str], state: object = None) -> dict[str, VolumeData]:
        """Return references to `members` of the zip at `path`, in a state or as it is now, by their names."""
        names = list(members)
        if names and state is None:
            state = _state_of(path)
        return {name: cls(path, name, state) for name in names}

    @classmethod
    def temporary(cls, file: TemporaryFile) -> VolumeData:
        """Return a reference to a data zip that lives as long as the reference."""
        return cls(file.path, None, _state_of(file.path), file)

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"

    def check_unchanged(self) -> None:
        """Make sure the file is the one this reference was taken from.

        Raises
        ------
        VolumeDataError
            It is gone or another.
        """
        if isinstance(self.path, ObjectPath):
            return  # each request for a part of it says which state is meant
        try:
            state = _state_of(self.path)
        except FileNotFoundError:
            raise VolumeDataError(
                f"{self.path} is gone: the voxels of {self.member or 'a volume layer'!r} are read from it when needed"
            ) from None
        if state != self.state:
            raise VolumeDataError(f"{self.path} has changed since it was loaded; load the annotation again")

    def mags(self, declared: DataFormat | None = None) -> list[_core.DiscoveredMag]:
        """Return the mags found in the data zip, with where they lie.

        Parameters
        ----------
        declared
            The format that the NML names; a warning says where the data are of another.
        """
        return list(self.open(declared).mags)

    def locations(self, declared: DataFormat | None = None) -> list[_core.MagLocation]:
        """Return where the mags lie, none if no chunk does, by absolute paths: workers may run in another folder."""
        found = self.mags(declared)
        return [_absolute(mag["location"]) for mag in found] if any(mag["chunks"] for mag in found) else []

    def open(self, declared: DataFormat | None = None) -> DataZip:
        """Return the data zip with its mags, open.

        Raises
        ------
        VolumeDataError
            The file is gone, another, no zip, or damaged.
        """
        self.check_unchanged()
        return data_zip.DataZip.open(
            self.path, self.member, None if declared is None else declared.value, state=self.state
        )

    def summaries(self) -> list[MagSummary]:
        """Return what can be said of each mag without reading a chunk."""
        return [
            MagSummary(
                mag=Mag(found["location"]["mag"]).to_layer_name(),
                chunks=found["chunks"],
                stored_bytes=found["stored_bytes"],
                dtype=found["grid"]["voxel_type"],
            )
            for found in self.mags()
        ]


def _state_of(path: Path | ObjectPath) -> object:
    if isinstance(path, ObjectPath):
        return path.state()
    status = path.stat()
    return status.st_size, status.st_mtime_ns


def broken_members(file: str | _core.ObjectFile, members: list[str]) -> list[str]:
    """Return what is wrong with those members of a zip that are no zip files themselves."""
    return [problem for problem in _core.probe_members(file, members) if problem is not None]


def _absolute(location: _core.MagLocation) -> _core.MagLocation:
    container = location["container"]
    if "path" not in container:
        return location
    return {**location, "container": {**container, "path": str(Path(container["path"]).absolute())}}
