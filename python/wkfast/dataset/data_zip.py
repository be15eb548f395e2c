"""Mags inside a zip file, as volume layers of annotations have them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast import _core

if TYPE_CHECKING:
    from pathlib import Path


def mags_in_zip(path: Path, member: str, declared: str | None = None) -> list[_core.DiscoveredMag]:
    """Return the mags in the zip that is `member` of the zip at `path`, finest first, with where they lie.

    Parameters
    ----------
    declared
        The format that an NML names; a warning says where the data are of another.

    Raises
    ------
    VolumeDataError
        One of the two is no zip file, or damaged.
    """
    known = declared if declared in {"wkw", "zarr", "zarr3"} else None
    return _core.discover_mags(path, member, declared=known)  # type: ignore[arg-type]
