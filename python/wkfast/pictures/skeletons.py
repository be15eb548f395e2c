"""Skeletons as pictures of three projections."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt
    from matplotlib import collections, figure
    from matplotlib.axes import Axes
else:
    figure = lazy_import("matplotlib.figure", extra="plot")
    collections = lazy_import("matplotlib.collections", extra="plot")

# Which axes lie to the right and downwards, as WEBKNOSSOS's viewports have them.
_PROJECTIONS = {"xy": (0, 1), "zy": (2, 1), "xz": (0, 2)}
_STEPS = (1, 2, 5)
_NM_PER_UM = 1000

Part = tuple["npt.NDArray[np.float64]", "npt.NDArray[np.int64]", tuple[float, ...]]


def three_projections(parts: Iterable[Part], title: str) -> figure.Figure:
    """Return a figure of trees seen along each axis, with a scale bar.

    Parameters
    ----------
    parts
        For each tree positions (``(nodes, 3)``, nm), edges (``(edges, 2)``, rows of these), red, green, blue, alpha.
    title
        Stands above.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    trees = list(parts)
    made = figure.Figure(figsize=(12, 4.5), layout="constrained")
    made.suptitle(title, parse_math=False)
    for axes, (name, (right, down)) in zip(made.subplots(1, 3), _PROJECTIONS.items(), strict=True):
        for places, edges, color in trees:
            seen = places[:, [right, down]] / _NM_PER_UM
            axes.add_collection(collections.LineCollection(list(seen[edges]), colors=[color], linewidths=1))
            axes.scatter(seen[:, 0], seen[:, 1], s=2, color=[color])
        axes.set_title(name)
        axes.set_aspect("equal", adjustable="datalim")
        axes.autoscale_view()
        axes.invert_yaxis()
        axes.set_axis_off()
        _scale_bar(axes)
    return made


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


def _scale_bar(axes: Axes) -> None:
    left, right = sorted(axes.get_xlim())
    length = bar_length(right - left)
    high = axes.get_ylim()[0]
    axes.plot([left, left + length], [high, high], color="gray", linewidth=3, solid_capstyle="butt")
    facts: dict[str, Any] = {"color": "gray", "ha": "center", "va": "bottom"}
    axes.text(left + length / 2, high, f"{length:g} µm", **facts)
