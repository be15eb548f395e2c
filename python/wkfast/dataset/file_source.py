"""Voxels of a mag in a folder, which other processes may put another in the place of at any time."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from wkfast import _core
from wkfast.errors import DatasetError, VolumeDataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from wkfast.dataset.properties import Json

# A mag is replaced in one step, so one new look is enough unless somebody replaces it over and over.
_LOOKS = 50
_PAUSE = 0.005

Triple = tuple[int, int, int]
Stamp = tuple[int, int, int, int] | None


class _Opened(NamedTuple):
    stamp: Stamp
    mag: _core.Mag


class FileSource:
    """A ``_core.Mag`` that is opened again when its metadata are another file than when it was opened.

    What was read counts only if the metadata did not change meanwhile. So a reader gets what a mag held before it was
    replaced or what it holds since, never chunks of the one by the description of the other.

    Parameters
    ----------
    location
        See ``_core.MagLocation``.
    metadata
        The file that describes the mag.
    """

    def __init__(self, location: Json, metadata: Path) -> None:
        self._location = location
        self._metadata = os.fspath(metadata)
        self._opened = self._open()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._current(), name)

    def check(self) -> None:
        """Make sure that the mag is still there and can be opened.

        Raises
        ------
        MagNotFoundError, VolumeDataError
            It is gone, or what took its place is damaged.
        """
        if self._stamp() != self._opened.stamp:
            self._opened = self._open()

    def read(self, topleft: Triple, size: Triple, *, extra: Sequence[int] = ()) -> NDArray[Any]:
        """Return a box (c, x, y, z) in Fortran order; what was never written is zero."""
        along = list(extra)
        return self._of_one_state(lambda mag: mag.read(topleft, size, extra=along))

    def chunks(self) -> NDArray[Any]:
        """Return the chunks that hold data, a row each: additional axes, then x, y, z, counted in chunks."""
        return self._of_one_state(lambda mag: mag.chunks())

    def _of_one_state(self, look: Callable[[_core.Mag], NDArray[Any]]) -> NDArray[Any]:
        for _ in range(_LOOKS):
            opened = self._opened
            try:
                found = look(opened.mag)
            except VolumeDataError:
                if self._stamp() == opened.stamp:
                    raise
            else:
                if self._stamp() == opened.stamp:
                    return found
            self._opened = self._open()
        raise VolumeDataError(f"{self._metadata} is replaced so often that the mag cannot be read")

    def _current(self) -> _core.Mag:
        self.check()
        return self._opened.mag

    def _open(self) -> _Opened:
        """Open the mag as it is now; one that is replaced meanwhile, once more."""
        for _ in range(_LOOKS):
            stamp = self._stamp()
            try:
                return _Opened(stamp, _core.Mag.open(self._location))
            except (VolumeDataError, DatasetError):
                if self._stamp() == stamp:
                    raise
            time.sleep(_PAUSE)
        raise VolumeDataError(f"{self._metadata} is replaced so often that the mag cannot be opened")

    def _stamp(self) -> Stamp:
        try:
            status = os.stat(self._metadata)  # noqa: PTH116 - a path object costs as much as a small read
        except OSError:
            return None  # what is wrong is said where the mag is opened
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size
