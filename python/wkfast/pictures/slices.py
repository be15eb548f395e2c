"""Slices of voxels as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from wkfast._lazy import lazy_import
from wkfast.pictures.planes import NM_PER_UM, add_scale_bar

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from matplotlib import figure
    from numpy.typing import NDArray
else:
    figure = lazy_import("matplotlib.figure", extra="plot")

_HEIGHT = 4.5
_WIDEST = 3.0
_MARGIN = 0.08


class Extent(NamedTuple):
    """Where a picture lies, in nm: from left to right, and from top to bottom."""

    left: float
    right: float
    top: float
    bottom: float


def slices(pictures: Mapping[str, NDArray[np.uint8]], extent: Extent, title: str) -> figure.Figure:
    """Return a figure of pictures of one place side by side, with a scale bar below the first.

    Parameters
    ----------
    pictures
        By their captions, which may be empty: rows, columns, 3.
    extent
        Where all of them lie.
    title
        Stands above.

    Raises
    ------
    MissingExtraError
        matplotlib is not installed.
    """
    left, right, top, bottom = (place / NM_PER_UM for place in extent)
    shape = min(max((right - left) / (bottom - top), 1 / _WIDEST), _WIDEST)
    made = figure.Figure(figsize=(_HEIGHT * shape * len(pictures), _HEIGHT + 0.5), layout="constrained")
    made.suptitle(title, parse_math=False)
    for axes, (caption, pixels) in zip(
        made.subplots(1, len(pictures), squeeze=False)[0], pictures.items(), strict=True
    ):
        axes.imshow(pixels, extent=(left, right, bottom, top), interpolation="nearest")
        axes.set_title(caption, parse_math=False)
        axes.set_axis_off()
        # Room for the bar, below all pictures so that they stay of one size.
        axes.set_ylim(bottom + _MARGIN * (bottom - top), top)
    add_scale_bar(made.axes[0])
    made.axes[0].set_xlim(left, right)
    return made
