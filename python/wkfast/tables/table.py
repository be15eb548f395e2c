"""Columns of one length under their names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.tables import frames

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Labels:
    """A column of texts that repeat: each text once, and for each row which one it is.

    Attributes
    ----------
    codes
        int32, one per row: an index of `values`.
    values
        The texts, each once.

    Examples
    --------
    >>> labels = Labels(np.array([0, 0, 1], np.int32), ["a.nml", "b.nml"])
    >>> np.asarray(labels).tolist(), labels[2], len(labels)
    (['a.nml', 'a.nml', 'b.nml'], 'b.nml', 3)
    """

    def __init__(self, codes: npt.NDArray[np.int32], values: Sequence[str]) -> None:
        self.codes = codes
        self.values: list[str] = list(values)

    @classmethod
    def of_files(cls, files: npt.NDArray[np.int32], texts: Sequence[str]) -> Labels:
        """Return the column for rows whose file is known, of a text per file.

        Parameters
        ----------
        files
            The number of each row's file.
        texts
            What the rows of each file say; several files may say the same.
        """
        numbers: dict[str, int] = {text: number for number, text in enumerate(dict.fromkeys(texts))}
        if len(numbers) == len(texts):
            return cls(files, texts)
        return cls(np.array([numbers[text] for text in texts], np.int32)[files], list(numbers))

    def __len__(self) -> int:
        return len(self.codes)

    def __getitem__(self, row: int) -> str:
        return self.values[int(self.codes[row])]

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError("texts of labels are made anew: copy=False cannot be")
        return np.asarray(np.array(self.values, object)[self.codes], dtype)

    def __repr__(self) -> str:
        return f"Labels({len(self.codes)} rows, {len(self.values)} texts)"


class Table(Mapping[str, Any]):
    """Columns of one length: numpy arrays, masked where values may be missing, and :class:`Labels`.

    A mapping from names to columns: what takes a dict of arrays takes a table.

    Examples
    --------
    >>> table = Table({"id": np.array([4, 5]), "radius": np.array([1.5, np.nan])})
    >>> table["id"].tolist(), list(table), table.rows
    ([4, 5], ['id', 'radius'], 2)
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        self._columns = dict(columns)

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(next(iter(self._columns.values()), ()))

    def to_arrow(self) -> pa.Table:
        """Return the columns as a ``pyarrow.Table``; see :func:`wkfast.tables.to_arrow`."""
        return frames.to_arrow(self)

    def to_pandas(self) -> pd.DataFrame:
        """Return the columns as a ``pandas.DataFrame``; see :func:`wkfast.tables.to_pandas`."""
        return frames.to_pandas(self)

    def to_polars(self) -> pl.DataFrame:
        """Return the columns as a ``polars.DataFrame``; see :func:`wkfast.tables.to_polars`."""
        return frames.to_polars(self)

    def __getitem__(self, name: str) -> Any:
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    def __repr__(self) -> str:
        return f"Table({self.rows:,} rows: {', '.join(self._columns)})"
