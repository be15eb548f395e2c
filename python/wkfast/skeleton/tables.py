"""Whole skeletons as columns. Each table is a dict of numpy arrays of one length: what pandas and polars take as is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import numpy.typing as npt

    from wkfast.skeleton.tree import Tree

    Table = dict[str, npt.NDArray[Any]]

# Optional columns and what stands for "absent": NaN among floats, a mask elsewhere.
_FLOATS = {"radius": (), "rotation": (3,)}
_MASKED = {"inVp": np.int32, "inMag": np.int32, "bitDepth": np.int32, "interpolation": np.bool_, "time": np.int64}


def nodes_table(trees: Sequence[Tree]) -> Table:
    """Return the nodes of trees; see :meth:`Skeleton.nodes_table`."""
    table: Table = {
        "id": _joined([_ids(tree.columns.ids()) for tree in trees], np.empty(0, np.int64)),
        "tree_id": _tree_ids(trees, len),
        "position": _joined([tree.columns.positions() for tree in trees], np.empty((0, 3))),
    }
    for name, shape in _FLOATS.items():
        table[name] = _joined([_float_column(tree, name, shape) for tree in trees], np.empty((0, *shape)))
    for name, dtype in (_MASKED | _axis_columns(trees)).items():
        columns = [_masked_column(tree, name, dtype) for tree in trees]
        values = _joined([values for values, _ in columns], np.empty(0, dtype))
        table[name] = np.ma.array(values, mask=_joined([mask for _, mask in columns], np.empty(0, np.bool_)))
    return table


def _axis_columns(trees: Sequence[Tree]) -> dict[str, type[np.generic]]:
    axes = dict.fromkeys(axis for tree in trees for axis in tree.columns.axes())
    return {f"additionalCoordinate-{axis}": np.int64 for axis in axes}


def edges_table(trees: Sequence[Tree]) -> Table:
    """Return the edges of trees; see :meth:`Skeleton.edges_table`."""
    edges = [_ids(tree.columns.edges()).reshape(-1, 2) for tree in trees]
    pairs = _joined(edges, np.empty((0, 2), np.int64))
    return {
        "source": pairs[:, 0],
        "target": pairs[:, 1],
        "tree_id": _ids([tree.id for tree in trees]).repeat([len(e) for e in edges]),
    }


def trees_table(trees: Sequence[Tree]) -> Table:
    """Return one row per tree; see :meth:`Skeleton.trees_table`."""
    boxes = [tree.columns.bounds() for tree in trees]
    bounds = np.array([[[np.nan] * 3] * 2 if box is None else box for box in boxes], np.float64).reshape(-1, 2, 3)
    return {
        "id": _ids([tree.id for tree in trees]),
        "name": np.array([tree.name for tree in trees], object),
        "group_id": _ids([tree.group.id for tree in trees]),
        "nodes": np.array([len(tree) for tree in trees], np.int64),
        "edges": np.array([tree.number_of_edges() for tree in trees], np.int64),
        "path_length": np.array([tree.path_length() for tree in trees], np.float64),
        "low": bounds[:, 0],
        "high": bounds[:, 1],
    }


def comments_table(trees: Sequence[Tree]) -> Table:
    """Return one row per comment; see :meth:`Skeleton.comments_table`."""
    rows = [(node, tree.id, text) for tree in trees for node, text in tree.columns.comments()]
    return {
        "node_id": _ids([node for node, _, _ in rows]),
        "tree_id": _ids([tree for _, tree, _ in rows]),
        "content": np.array([text for _, _, text in rows], object),
    }


def branchpoints_table(trees: Sequence[Tree]) -> Table:
    """Return one row per branchpoint; see :meth:`Skeleton.branchpoints_table`."""
    rows = [(node, tree.id, time) for tree in trees for node, time in tree.columns.branchpoints()]
    times = [time for _, _, time in rows]
    return {
        "node_id": _ids([node for node, _, _ in rows]),
        "tree_id": _ids([tree for _, tree, _ in rows]),
        "time": np.ma.array([time or 0 for time in times], np.int64, mask=[time is None for time in times]),
    }


def _ids(values: npt.NDArray[Any] | list[int]) -> npt.NDArray[Any]:
    """Return ids as int64, as Python ints where one is wider."""
    if isinstance(values, np.ndarray):
        return values
    try:
        return np.array(values, np.int64)
    except OverflowError:
        return np.array(values, object)


def _joined(parts: Sequence[npt.NDArray[Any]], empty: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if len(parts) == 1:
        return parts[0]
    return np.concatenate(parts) if parts else empty


def _tree_ids(trees: Iterable[Tree], count: Callable[[Tree], int]) -> npt.NDArray[Any]:
    trees = list(trees)
    return _ids([tree.id for tree in trees]).repeat([count(tree) for tree in trees])


def _float_column(tree: Tree, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    column = tree.columns.column(name)
    if column is None:
        return np.full((len(tree), *shape), np.nan)
    values, present = column
    values[~present] = np.nan
    return values


def _masked_column(tree: Tree, name: str, dtype: type[np.generic]) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    column = tree.columns.column(name)
    if column is None:
        return np.zeros(len(tree), dtype), np.ones(len(tree), np.bool_)
    values, present = column
    return values, ~present
