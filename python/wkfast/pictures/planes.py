"""The planes that pictures show, as WEBKNOSSOS's viewports have them, and their scale bars."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Which axes of x, y, z lie to the right and downwards.
PLANES = {"xy": (0, 1), "zy": (2, 1), "xz": (0, 2)}
NM_PER_UM = 1000
_STEPS = (1, 2, 5)


def bar_length(width: float) -> float:
    """Return the length of a scale bar for a picture of some width: 1, 2 or 5 of a power of ten, about a fifth of it.

    Examples
    --------
    >>> bar_length(60), bar_length(0.3), bar_length(24)
    (10.0, 0.05, 2.0)
    """
    wanted = width / 5
    power = 10.0 ** math.floor(math.log10(wanted))
    return float(max(step * power for step in _STEPS if step * power <= wanted * (1 + 1e-9)))


def add_scale_bar(axes: Axes) -> None:
    """Add a bar and its length to axes in µm."""
    left, right = sorted(axes.get_xlim())
    length = bar_length(right - left)
    high = axes.get_ylim()[0]
    axes.plot([left, left + length], [high, high], color="gray", linewidth=3, solid_capstyle="butt")
    facts: dict[str, Any] = {"color": "gray", "ha": "center", "va": "bottom"}
    axes.text(left + length / 2, high, f"{length:g} µm", **facts)
