"""What the core hands over, as tables with a name for every column."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast.skeleton.skeleton import voxel_size_of
from wkfast.tables.table import Labels, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from wkfast.tables.sources import Source, Unusable

    # Dataset's name, organization and id; voxel size and unit; problems, and how many more there are.
    FileFacts = tuple[Any, ...]
    Masked = tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]

_FLOATS = {name: {"float64": (), "3float64": (3,)}[kind] for name, kind in _core.NODE_COLUMNS if "float" in kind}
_MASKED = {name: np.dtype(kind) for name, kind in _core.NODE_COLUMNS if "float" not in kind}


def row_tables(record: dict[str, dict[str, Any]], names: Sequence[str], annotations: Sequence[str]) -> dict[str, Table]:
    """Return the tables of nodes, edges, trees, comments and branchpoints, each row with its file."""
    make = {"nodes": _nodes, "edges": _edges, "trees": _trees, "comments": _comments, "branchpoints": _branchpoints}
    tables = {}
    for table, columns in record.items():
        files = columns["file"]
        owners = {"file": Labels.of_files(files, names), "annotation": Labels.of_files(files, annotations)}
        tables[table] = Table(owners | make[table](columns))
    return tables


def files_table(files: Sequence[Source | Unusable], outcomes: Sequence[FileFacts | Exception]) -> Table:
    """Return one row per file: what it says of itself, or why it was not read."""
    facts = [None if isinstance(outcome, Exception) else outcome for outcome in outcomes]
    sizes = [(np.nan,) * 3 if fact is None else _nanometers(fact[1]) for fact in facts]
    return Table(
        {
            "file": _texts([file.name for file in files]),
            "annotation": _texts([file.annotation for file in files]),
            "dataset": _texts([None if fact is None else fact[0][0] for fact in facts]),
            "organization": _texts([None if fact is None else fact[0][1] for fact in facts]),
            "voxel_size": np.array(sizes, np.float64).reshape(-1, 3),
            "problems": np.array([len(fact[2]) + fact[3] if fact else 0 for fact in facts], np.int64),
            "error": _texts([str(each) if isinstance(each, Exception) else None for each in outcomes]),
        }
    )


# Files of one table mostly have one scale.
@lru_cache(maxsize=64)
def _nanometers(scale: tuple[Any, ...]) -> tuple[float, ...]:
    return tuple(voxel_size_of(dict(zip(("x", "y", "z", "unit"), scale, strict=True))).to_nanometer())


def _texts(values: Sequence[str | None]) -> npt.NDArray[Any]:
    return np.array(values, object)


def _nodes(columns: dict[str, Any]) -> dict[str, Any]:
    rows = len(columns["id"])
    table = {name: columns[name] for name in ("tree_id", "id", "position")}
    table |= {name: _float(columns[name], rows, shape) for name, shape in _FLOATS.items()}
    table |= {name: _masked(columns[name], rows, dtype) for name, dtype in _MASKED.items()}
    axes = sorted(name for name in columns if name.startswith("additionalCoordinate-"))
    return table | {name: _masked(columns[name], rows, np.dtype(np.int64)) for name in axes}


def _edges(columns: dict[str, Any]) -> dict[str, Any]:
    ends = columns["ends"]
    return {"tree_id": columns["tree_id"], "source": ends[:, 0], "target": ends[:, 1]}


def _trees(columns: dict[str, Any]) -> dict[str, Any]:
    plain = {name: column for name, column in columns.items() if name != "file"}
    group = _masked(columns["group_id"], len(columns["id"]), np.dtype(np.int64))
    return plain | {"name": _texts(columns["name"]), "type": _texts(columns["type"]), "group_id": group}


def _comments(columns: dict[str, Any]) -> dict[str, Any]:
    return {name: columns[name] for name in ("tree_id", "node_id")} | {"content": _texts(columns["content"])}


def _branchpoints(columns: dict[str, Any]) -> dict[str, Any]:
    time = _masked(columns["time"], len(columns["node_id"]), np.dtype(np.int64))
    return {name: columns[name] for name in ("tree_id", "node_id")} | {"time": time}


def _float(column: Masked | None, rows: int, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    if column is None:
        # Takes no memory, and cannot be changed.
        return np.broadcast_to(np.float64(np.nan), (rows, *shape))
    values, absent = column
    if absent is not None:
        values[absent] = np.nan
    return values


def _masked(column: Masked | None, rows: int, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    if column is None:
        return np.ma.array(np.broadcast_to(dtype.type(0), rows), mask=np.broadcast_to(np.True_, rows), copy=False)
    values, absent = column
    return np.ma.array(values, mask=np.ma.nomask if absent is None else absent, copy=False)
