"""Warnings that name the line of the user's that led to them, however deep the package noticed."""

import sys
import warnings

from wkfast._short import short_message

# Frames that stand between a user's line and ours: those of the package, and of context managers.
_BETWEEN = {"wkfast", "contextlib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, as if by the nearest caller outside the package, with a message of 2,000 characters at most.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     warn("the layer has no data")
    >>> caught[0].message
    UserWarning('the layer has no data')
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     warn("x" * 9000)
    >>> len(str(caught[0].message))
    2000
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(short_message(message), category, stacklevel=level)
