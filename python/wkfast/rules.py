"""Rules of merges, to use and to copy: which label a voxel gets, by the annotation's and the fallback's.

A rule is a function of two labels that returns one, and of nothing else: it is asked once about equal voxels. numba
compiles it where it is installed. ``policy=`` of merges takes it.

Examples
--------
>>> def smaller(annotation, fallback):
...     return min(annotation, fallback)
>>> annotation.merge_fallback_layer("merged", "datasets", policy=smaller)  # doctest: +SKIP
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.errors import MergeError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["ForAll", "max_votes", "newer", "only_background", "only_inside"]


@dataclass(frozen=True)
class ForAll:
    """A rule that is asked once about all annotations, instead of once for each over what those below have left.

    Attributes
    ----------
    function
        Called with the labels of those annotations that have a chunk there, lowest first, as an array, and the
        fallback's label.

    Examples
    --------
    >>> import numpy as np
    >>> largest = ForAll(lambda labels, fallback: labels.max())
    >>> int(largest(np.array([3, 9, 4]), 0))
    9
    """

    function: Callable[[Any, Any], Any]

    def __call__(self, labels: Any, fallback: Any) -> Any:
        """Return what the function says."""
        return self.function(labels, fallback)


def newer(annotation: Any, fallback: Any) -> Any:
    """Return the annotation's label if it has one, else the fallback's: as ``policy="nonzero"``.

    Parameters
    ----------
    annotation, fallback
        The labels of a voxel; 0 for none.

    Examples
    --------
    >>> newer(7, 3), newer(0, 3)
    (7, 3)
    """
    return annotation if annotation != 0 else fallback


def only_background(annotation: Any, fallback: Any) -> Any:
    """Return the annotation's label where the fallback has none: nothing that was segmented changes.

    Parameters
    ----------
    annotation, fallback
        The labels of a voxel; 0 for none.

    Examples
    --------
    >>> only_background(7, 3), only_background(7, 0)
    (3, 7)
    """
    return annotation if fallback == 0 else fallback


def only_inside(ids: Iterable[int]) -> Callable[[Any, Any], Any]:
    """Return the rule by which the annotation counts inside some segments of the fallback, erasures included.

    Parameters
    ----------
    ids
        The segments; 0 stands for the background.

    Raises
    ------
    MergeError
        They are no whole numbers.

    Examples
    --------
    >>> rule = only_inside([3, 5])
    >>> rule(7, 3), rule(7, 4)
    (7, 4)
    """
    try:
        inside = np.unique(np.array(list(ids)))
    except TypeError as error:
        raise MergeError(f"only_inside() takes a list of ids, not {ids!r}") from error
    if inside.size and inside.dtype.kind not in "iu":
        raise MergeError(f"only_inside() takes the ids of segments, not {inside.dtype}")
    if not inside.size:
        inside = inside.astype(np.int64)

    def only_inside_these(annotation: Any, fallback: Any) -> Any:
        place = np.searchsorted(inside, fallback)
        if place < len(inside) and inside[place] == fallback:
            return annotation
        return fallback

    return only_inside_these


def _most_frequent(labels: Any, fallback: Any) -> Any:
    best, most = fallback, 0
    for label in labels:
        votes = 0
        for other in labels:
            if other == label:
                votes += 1
        if votes >= most:
            best, most = label, votes
    return best


# What messages call it; its qualified name stays, by which it travels.
_most_frequent.__name__ = "max_votes"

# The label that most annotations show; of as many, the uppermost's. What an annotation did not paint in a chunk that it
# has is a vote for what it shows there.
max_votes = ForAll(_most_frequent)
