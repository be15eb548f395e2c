"""Skeletons as pictures of three projections."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.pictures.planes import NM_PER_UM, PLANES, add_scale_bar

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt
    from matplotlib import collections, figure
else:
    figure = lazy_import("matplotlib.figure", extra="plot")
    collections = lazy_import("matplotlib.collections", extra="plot")

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
    for axes, (name, (right, down)) in zip(made.subplots(1, 3), PLANES.items(), strict=True):
        for places, edges, color in trees:
            seen = places[:, [right, down]] / NM_PER_UM
            axes.add_collection(collections.LineCollection(list(seen[edges]), colors=[color], linewidths=1))
            axes.scatter(seen[:, 0], seen[:, 1], s=2, color=[color])
        axes.set_title(name)
        axes.set_aspect("equal", adjustable="datalim")
        axes.autoscale_view()
        axes.invert_yaxis()
        axes.set_axis_off()
        add_scale_bar(axes)
    return made
