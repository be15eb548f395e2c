"""Arrays as programs give them, checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import numpy.typing as npt
else:
    np = lazy_import("numpy")


def shaped(what: str, values: npt.ArrayLike, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return an array of a shape, -1 being any length. A table laid on its side is not turned, it is refused."""
    array = np.asarray(values)
    if array.size == 0 and shape[0] <= 0:
        return np.empty((0, *shape[1:]))
    if array.ndim != len(shape) or any(a != b for a, b in zip(array.shape, shape, strict=True) if b != -1):
        expected = str(shape).replace("-1", "any")
        raise SkeletonError(f"{what} must have the shape {expected}, not {array.shape}")
    return array


def integers(what: str, array: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return an array as 64-bit integers; numbers that are none are refused, not cut."""
    with np.errstate(invalid="ignore"):
        integers = np.ascontiguousarray(array, np.int64)
    cut = array.dtype.kind == "f" and not np.array_equal(integers, array)
    wrapped = array.dtype.kind == "u" and bool((integers < 0).any())
    if cut or wrapped:
        raise SkeletonError(f"{what} must be integers of 64 bits")
    return integers


@dataclass(frozen=True)
class TreePart:
    """The part of arrays that is one tree: which rows, and its edges as numbers among these."""

    tree_id: int
    rows: npt.NDArray[np.int64]
    edges: npt.NDArray[np.int64]


def split_by_tree(owners: npt.NDArray[np.int64], edges: npt.NDArray[np.int64]) -> Iterator[TreePart]:
    """Yield the trees that rows belong to, by id. An edge between two of them, or to no row, is an error."""
    if len(edges) and not 0 <= edges.min() <= edges.max() < len(owners):
        raise SkeletonError(f"edges name rows {edges.min()} to {edges.max()}, positions has {len(owners)}")
    ends = owners[edges]
    apart = ends[:, 0] != ends[:, 1]
    if apart.any():
        a, b = edges[np.argmax(apart)]
        raise SkeletonError(f"an edge joins rows {a} and {b}, which are in the trees {owners[a]} and {owners[b]}")
    if len(owners) == 0:
        return
    tree_ids, starts = np.unique(np.sort(owners), return_index=True)
    order, edge_order = np.argsort(owners, kind="stable"), np.argsort(ends[:, 0], kind="stable")
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    edge_starts = np.searchsorted(ends[edge_order, 0], tree_ids)
    parts = np.split(order, starts[1:]), np.split(edge_order, edge_starts[1:])
    for tree_id, start, rows, own in zip(tree_ids.tolist(), starts.tolist(), *parts, strict=True):
        yield TreePart(tree_id, rows, place[edges[own]] - start)
