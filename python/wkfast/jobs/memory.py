"""Too little memory, told before it ends a process without a word."""

from __future__ import annotations

from wkfast import _core
from wkfast._warnings import warn

# What Python, numpy and the core take, and a few chunks: below it, processes have been seen to be killed.
_LEAST = 96 << 20


def warn_if_scarce() -> None:
    """Warn where the control group of this process has less memory than heavy work takes.

    Examples
    --------
    >>> warn_if_scarce()
    """
    limit = _core.memory_limit()
    if limit is not None and limit < _LEAST:
        warn(
            f"this process may take {limit / 1e6:.0f} MB of memory, and work like this takes {_LEAST / 1e6:.0f} MB or "
            "more: the system may kill it without a word. Ask for more (sbatch --mem, memory.max of its control group)"
        )
