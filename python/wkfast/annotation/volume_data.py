"""Where the voxels of a volume layer lie: a zip inside the annotation's zip, read in place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from wkfast.dataset.data_zip import mags_in_zip
from wkfast.errors import VolumeDataError
from wkfast.geometry import Mag

if TYPE_CHECKING:
    from pathlib import Path

    from wkfast import _core


class MagSummary(TypedDict):
    """One mag of a volume layer, from the archive's directory alone."""

    mag: str
    chunks: int
    stored_bytes: int
    dtype: str


@dataclass(frozen=True)
class VolumeData:
    """A data zip within an annotation zip, and what tells that the file is still the one that was loaded."""

    path: Path
    member: str
    size: int
    modified_ns: int

    @classmethod
    def at(cls, path: Path, member: str) -> VolumeData:
        """Return a reference to `member` of the zip at `path` as it is now."""
        status = path.stat()
        return cls(path, member, status.st_size, status.st_mtime_ns)

    def check_unchanged(self) -> None:
        """Make sure the file is the one this reference was taken from.

        Raises
        ------
        VolumeDataError
            It is gone or another.
        """
        try:
            status = self.path.stat()
        except FileNotFoundError:
            raise VolumeDataError(
                f"{self.path} is gone: the voxels of {self.member!r} are read from it when needed"
            ) from None
        if (status.st_size, status.st_mtime_ns) != (self.size, self.modified_ns):
            raise VolumeDataError(f"{self.path} has changed since it was loaded; load the annotation again")

    def mags(self, declared: str | None = None) -> list[_core.DiscoveredMag]:
        """Return the mags found in the data zip, with where they lie.

        Parameters
        ----------
        declared
            The format that the NML names; a warning says where the data are of another.
        """
        self.check_unchanged()
        return mags_in_zip(self.path, self.member, declared)

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
