"""Tables as those of pyarrow, pandas and polars. Each takes any mapping of names to columns of one length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast._lazy import lazy_import
from wkfast.errors import SkeletonError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa
else:
    pa = lazy_import("pyarrow", extra="arrow")
    pd = lazy_import("pandas", extra="pandas")
    pl = lazy_import("polars", extra="polars")

# What the numbers of a vector are called in tables of plain columns.
_PARTS = {3: "xyz", 4: "rgba"}


def to_arrow(table: Mapping[str, Any]) -> pa.Table:
    """Return a table as a ``pyarrow.Table``.

    Numbers are not copied. Vectors are fixed-size lists, repeated texts dictionaries, masked values nulls; what is NaN
    among floats stays NaN.

    Parameters
    ----------
    table
        As :func:`read_skeletons`, :meth:`Skeleton.nodes_table` and the like return them.

    Raises
    ------
    SkeletonError
        A column has integers of more than 64 bits.
    MissingExtraError
        pyarrow is not installed.

    Examples
    --------
    >>> table = to_arrow({"id": np.array([4, 5]), "position": np.array([[1.0, 2, 3], [4, 5, 6]])})
    >>> table.column("position").to_pylist()
    [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]
    """
    return pa.table({name: _arrow_column(name, column) for name, column in table.items()})


def to_pandas(table: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table as a ``pandas.DataFrame``.

    Vectors become a column for each number (``position_x``), repeated texts categories, masked integers and
    booleans pandas's nullable types.

    Parameters
    ----------
    table
        As for :func:`to_arrow`.

    Raises
    ------
    MissingExtraError
        pandas is not installed.

    Examples
    --------
    >>> frame = to_pandas({"id": np.array([4, 5]), "position": np.array([[1.0, 2, 3], [4, 5, 6]])})
    >>> list(frame), frame["position_y"].tolist()
    (['id', 'position_x', 'position_y', 'position_z'], [2.0, 5.0])
    """
    return pd.DataFrame({name: _pandas_column(column) for name, column in flat(table).items()}, copy=False)


def to_polars(table: Mapping[str, Any]) -> pl.DataFrame:
    """Return a table as a ``polars.DataFrame``: vectors are arrays, repeated texts categories, masked values nulls.

    Parameters
    ----------
    table
        As for :func:`to_arrow`.

    Raises
    ------
    SkeletonError
        A column has integers of more than 64 bits.
    MissingExtraError
        polars or pyarrow is not installed.

    Examples
    --------
    >>> to_polars({"id": np.array([4, 5])})["id"].to_list()
    [4, 5]
    """
    frame = pl.from_arrow(to_arrow(table))
    if not isinstance(frame, pl.DataFrame):
        raise TypeError(f"polars made a {type(frame).__name__} of a table")
    return frame


def flat(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns of a table, those of vectors one for each number.

    Examples
    --------
    >>> list(flat({"low": np.zeros((2, 3)), "color": np.zeros((2, 4))}))
    ['low_x', 'low_y', 'low_z', 'color_r', 'color_g', 'color_b', 'color_a']
    """
    columns: dict[str, Any] = {}
    for name, column in table.items():
        if isinstance(column, np.ndarray) and column.ndim > 1:
            columns |= {f"{name}_{part}": column[:, at] for at, part in enumerate(_PARTS[column.shape[1]])}
        else:
            columns[name] = column
    return columns


def _arrow_column(name: str, column: Any) -> pa.Array:
    if _is_labels(column):
        return pa.DictionaryArray.from_arrays(pa.array(column.codes), pa.array(column.values, pa.string()))
    if isinstance(column, np.ma.MaskedArray):
        return pa.array(np.asarray(column.data), mask=np.ma.getmaskarray(column))
    if column.ndim > 1:
        return pa.FixedSizeListArray.from_arrays(pa.array(column.reshape(-1)), column.shape[1])
    if column.dtype == object:
        return _arrow_objects(name, column)
    return pa.array(column)


def _arrow_objects(name: str, column: npt.NDArray[Any]) -> pa.Array:
    if any(isinstance(value, int) for value in column):
        raise SkeletonError(f"the column {name} has integers of more than 64 bits, which Arrow tables do not hold")
    return pa.array(column, pa.string())


def _pandas_column(column: Any) -> Any:
    if _is_labels(column):
        return pd.Categorical.from_codes(column.codes, column.values)
    if isinstance(column, np.ma.MaskedArray):
        kinds: dict[str, Any] = {"i": pd.arrays.IntegerArray, "b": pd.arrays.BooleanArray}
        return kinds[column.dtype.kind](np.array(column.data), np.array(np.ma.getmaskarray(column)))
    return column


def _is_labels(column: Any) -> bool:
    return hasattr(column, "codes")
