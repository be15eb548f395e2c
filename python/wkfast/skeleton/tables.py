"""Whole skeletons as columns. Each table is a dict of numpy arrays of one length: what pandas and polars take as is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from wkfast.skeleton.tree import Tree

    Table = dict[str, npt.NDArray[Any]]
else:
    np = lazy_import("numpy")

# Optional columns and what stands for "absent": NaN among floats, a mask elsewhere.
_FLOATS = {name: {"float64": (), "3float64": (3,)}[kind] for name, kind in _core.NODE_COLUMNS if "float" in kind}
# Each is a column as long as the table, whoever has a coordinate there; layers have no more, either.
_MOST_AXES = 64
_MASKED = {name: kind for name, kind in _core.NODE_COLUMNS if "float" not in kind}


def nodes_table(trees: Sequence[Tree]) -> Table:
    """Return the nodes of trees; see :meth:`Skeleton.nodes_table`."""
    # Copies, which cost nothing: all columns of a tree are those of one moment, whatever other threads do.
    all_columns = [tree._columns.copy() for tree in trees]
    table: Table = {
        "id": _joined([_ids(columns.ids()) for columns in all_columns], np.empty(0, np.int64)),
        "tree_id": _ids([tree.id for tree in trees]).repeat([len(columns) for columns in all_columns]),
        "position": _joined([columns.positions() for columns in all_columns], np.empty((0, 3))),
    }
    for name, shape in _FLOATS.items():
        table[name] = _joined([_float_column(each, name, shape) for each in all_columns], np.empty((0, *shape)))
    for name, dtype in (_MASKED | _axis_columns(all_columns)).items():
        columns = [_masked_column(each, name, dtype) for each in all_columns]
        values = _joined([values for values, _ in columns], np.empty(0, dtype))
        table[name] = np.ma.array(values, mask=_joined([mask for _, mask in columns], np.empty(0, np.bool_)))
    return table


def _axis_columns(all_columns: Sequence[_core.TreeColumns]) -> dict[str, type[np.generic]]:
    axes = dict.fromkeys(axis for columns in all_columns for axis in columns.axes())
    if len(axes) > _MOST_AXES:
        raise SkeletonError(
            f"the nodes have coordinates along {len(axes):,} additional axes: a table has a column for each of "
            f"{_MOST_AXES} at most"
        )
    return {f"additionalCoordinate-{axis}": np.int64 for axis in axes}


def edges_table(trees: Sequence[Tree]) -> Table:
    """Return the edges of trees; see :meth:`Skeleton.edges_table`."""
    edges = [_ids(tree._columns.edges()).reshape(-1, 2) for tree in trees]
    pairs = _joined(edges, np.empty((0, 2), np.int64))
    return {
        "source": pairs[:, 0],
        "target": pairs[:, 1],
        "tree_id": _ids([tree.id for tree in trees]).repeat([len(e) for e in edges]),
    }


def trees_table(trees: Sequence[Tree]) -> Table:
    """Return one row per tree; see :meth:`Skeleton.trees_table`."""
    boxes = [tree._columns.bounds() for tree in trees]
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
    rows = [(node, tree.id, text) for tree in trees for node, text in tree._columns.comments()]
    return {
        "node_id": _ids([node for node, _, _ in rows]),
        "tree_id": _ids([tree for _, tree, _ in rows]),
        "content": np.array([text for _, _, text in rows], object),
    }


def branchpoints_table(trees: Sequence[Tree]) -> Table:
    """Return one row per branchpoint; see :meth:`Skeleton.branchpoints_table`."""
    rows = [(node, tree.id, time) for tree in trees for node, time in tree._columns.branchpoints()]
    times = [time for _, _, time in rows]
    return {
        "node_id": _ids([node for node, _, _ in rows]),
        "tree_id": _ids([tree for _, tree, _ in rows]),
        "time": np.ma.array([time or 0 for time in times], np.int64, mask=[time is None for time in times]),
    }


def _column(name: str, values: Any, rows: int) -> Any:
    """Return values as an array of numbers; one value is that of all nodes."""
    try:
        array: Any = np.ma.asarray(np.full(rows, values) if np.ndim(values) == 0 else values)
        if name in _FLOATS:
            return array.astype(np.float64)
        return array if array.dtype.kind in "biuf" else array.astype(np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise SkeletonError(f"{name} has values that are no numbers of its kind: {error}") from error


def given_columns(columns: Mapping[str, Any], rows: int) -> list[tuple[str, npt.NDArray[Any], npt.NDArray[np.bool_]]]:
    """Return optional columns as the core takes them: NaN and masked values are those that a node does not have."""
    given = []
    for name, values in columns.items():
        if name not in _FLOATS and name not in _MASKED:
            raise SkeletonError(f"nodes have no column {name!r}; there are {', '.join([*_FLOATS, *_MASKED])}")
        if values is None:
            continue
        array = _column(name, values, rows)
        if array.shape[:1] != (rows,) or array.ndim != 1 + (name == "rotation"):
            raise SkeletonError(f"{name} must have one value for each of {rows} nodes, not the shape {array.shape}")
        present: Any = ~np.ma.getmaskarray(array)
        if name in _FLOATS:
            present = present & ~np.isnan(array.filled(np.nan))
            present = present.any(axis=1) if present.ndim > 1 else present
        filled = np.ascontiguousarray(array.filled(0), np.float64 if name in _FLOATS else _MASKED[name])
        if not np.array_equal(filled[present], array.filled(0)[present]):
            raise SkeletonError(f"{name} does not fit into {filled.dtype}")
        given.append((name, filled, np.ascontiguousarray(present)))
    return given


def given_comments(comments: Sequence[str | None] | None, rows: int) -> list[tuple[int, str]]:
    """Return the rows that get a comment, and which.

    Raises
    ------
    SkeletonError
        There are more or fewer than rows, or one is no text that an NML can hold.
    """
    if comments is None:
        return []
    if len(comments) != rows:
        raise SkeletonError(f"{len(comments)} comments for {rows} nodes")
    texts = [(row, text) for row, text in enumerate(comments) if text is not None]
    for row, text in texts:
        try:
            text.encode()
        except (UnicodeEncodeError, AttributeError) as error:
            raise SkeletonError(f"comment {row} is no text that an NML can hold: {error}") from error
    return texts


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


def _float_column(columns: _core.TreeColumns, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    column = columns.column(name)
    if column is None:
        return np.full((len(columns), *shape), np.nan)
    values, present = column
    values[~present] = np.nan
    return values


def _masked_column(
    columns: _core.TreeColumns, name: str, dtype: npt.DTypeLike
) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    column = columns.column(name)
    if column is None:
        return np.zeros(len(columns), dtype), np.ones(len(columns), np.bool_)
    values, present = column
    return values, ~present
