"""Too little memory, told before it ends a process without a word."""

from __future__ import annotations

from wkfast import _core
from wkfast._warnings import warn


def warn_if_scarce() -> None:
    """Warn where the control group of this process has less memory than heavy work takes.

    Examples
    --------
    >>> warn_if_scarce()
    """
    limit, least = _core.memory_limit(), _core.LEAST_MEMORY
    if limit is not None and limit < least:
        warn(
            f"this process may take {limit / 1e6:.0f} MB of memory, and work like this takes {least / 1e6:.0f} MB or "
            "more: the system may kill it without a word. Ask for more (sbatch --mem, memory.max of its control group)"
        )
