"""Locks that last as long as what is locked is open, and end with its process."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import IO


def take_lock(opened: int | IO[bytes]) -> bool | None:
    """Lock an open file or folder without waiting for anybody.

    Returns
    -------
    bool, optional
        Whether it is ours now, and not somebody else's; ``None`` where the file system has no locks.

    Examples
    --------
    >>> path = tmp_path / "file"
    >>> with path.open("wb") as ours, path.open("rb") as theirs:
    ...     take_lock(ours), take_lock(theirs)
    (True, False)
    """
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
