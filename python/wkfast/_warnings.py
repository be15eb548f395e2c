"""Warnings that name the line of the user's that led to them, however deep the package noticed."""

import sys
import warnings

# Frames that stand between a user's line and ours: those of the package, and of context managers.
_BETWEEN = {"wkfast", "contextlib"}


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn, as if by the nearest caller outside the package.

    Examples
    --------
    >>> with warnings.catch_warnings(record=True, action="always") as caught:
    ...     warn("the layer has no data")
    >>> caught[0].message
    UserWarning('the layer has no data')
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _BETWEEN:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
