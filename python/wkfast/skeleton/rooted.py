"""Trees seen from a root, as formats have them that know each node's parent."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from wkfast.skeleton.tree import Tree
else:
    np = lazy_import("numpy")


def edge_rows(tree: Tree) -> npt.NDArray[np.int64]:
    """Return the rows that each edge joins, ``(edges, 2)``, a self-edge left out."""
    starts, neighbors = (part.astype(np.int64) for part in tree.adjacency_arrays())
    rows = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    pairs = np.column_stack([rows, neighbors])
    return pairs[pairs[:, 0] < pairs[:, 1]]


def rooted(tree: Tree) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return the rows of all nodes, parents first, and the place of each one's parent in that order, -1 for roots.

    The first node of each part of the tree is its root.

    Raises
    ------
    SkeletonError
        The tree has a cycle: there is no root to see it from without losing an edge.

    Examples
    --------
    >>> from wkfast.skeleton import Skeleton
    >>> skeleton = Skeleton.from_arrays([[0, 0, 0]] * 4, [[2, 0], [2, 1]], voxel_size=(1, 1, 1), dataset_name="sample")
    >>> [part.tolist() for part in rooted(next(skeleton.trees))]
    [[0, 2, 1, 3], [-1, 0, 1, -1]]
    """
    starts, neighbors = (part.tolist() for part in tree.adjacency_arrays())
    places = [-1] * (len(starts) - 1)
    order: list[int] = []
    parents: list[int] = []
    for root in range(len(places)):
        waiting = [(root, -1)] if places[root] < 0 else []
        while waiting:
            row, parent = waiting.pop()
            if places[row] >= 0:
                continue
            places[row] = len(order)
            order.append(row)
            parents.append(parent)
            around = neighbors[starts[row] : starts[row + 1]]
            waiting += [(each, places[row]) for each in reversed(around) if places[each] < 0]
    roots = parents.count(-1)
    extra = tree.number_of_edges() - (len(order) - roots)
    if extra:
        raise SkeletonError(
            f"tree {tree.id} ({tree.name!r}) has cycles, {extra} edge(s) too many for nodes with one parent"
        )
    return np.array(order, np.int64), np.array(parents, np.int64)
