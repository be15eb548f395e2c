"""Folders of a bucket that one call has to itself: each has a mark that is put anew as long as the call is at work.

Whoever finds a mark leaves the folder alone, unless its owner has gone: a process of this machine that is no more, or
any that has not put its mark anew for a minute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast.dataset.folders import LEFT
from wkfast.errors import BeingMadeError, DatasetError

if TYPE_CHECKING:
    from wkfast import _core
    from wkfast.buckets import ObjectPath

# Seconds between two puts of a mark, and after how many without one it is over.
RENEWAL = 10.0
SILENCE = 60.0


class Claim:
    """A folder that this call has to itself as long as its mark lies in it. Others see it by :func:`take`.

    Attributes
    ----------
    folder
        The folder.
    """

    def __init__(self, folder: ObjectPath, lease: _core.ObjectLease) -> None:
        self.folder = folder
        self._lease = lease

    def check(self) -> None:
        """Refuse to list what another call has taken for left.

        Raises
        ------
        DatasetError
            Another call has taken the folder over.
        """
        if not self._lease.is_own():
            raise DatasetError(
                f"{self.folder}: another call makes the same and has taken it over; look what is there now"
            )

    def finish(self) -> None:
        """Take the mark away: what lies there is listed."""
        self._lease.finish()

    def end(self) -> None:
        """Put the mark anew no more; it stays and says that something was left."""
        self._lease.end()


def take(folder: ObjectPath) -> tuple[Claim, bool]:
    """Mark a folder as this call's; return the claim, and whether there was a mark that is over.

    Raises
    ------
    BeingMadeError
        Another call is at work there.
    """
    taken = folder.take_lease(LEFT, RENEWAL, SILENCE)
    if taken is None:
        raise _at_work(folder)
    lease, was_left = taken
    return Claim(folder, lease), was_left


def is_free(folder: ObjectPath) -> bool:
    """Return whether a folder has a mark, of a call that has left it.

    Raises
    ------
    BeingMadeError
        Another call is at work there.
    """
    is_over = folder.is_lease_over(LEFT, SILENCE)
    if is_over is False:
        raise _at_work(folder)
    return is_over is not None


def _at_work(folder: ObjectPath) -> BeingMadeError:
    return BeingMadeError(f"{folder}: another call makes it right now; open the dataset anew when it has ended")
