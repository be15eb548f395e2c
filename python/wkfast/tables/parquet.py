"""Parquet of many annotation files, written batch by batch."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Self

from wkfast._lazy import lazy_import
from wkfast.buckets import ObjectPath, any_path, local_folder
from wkfast.drafts import PartFile
from wkfast.errors import AnnotationSuffixError
from wkfast.tables.frames import flat, to_arrow
from wkfast.tables.reading import SkeletonTables, iterate_skeletons

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike
    from pathlib import Path
    from types import TracebackType

    import pyarrow as pa
    import pyarrow.parquet as pq

    from wkfast.tables.reading import FileError
    from wkfast.tables.sources import Paths
    from wkfast.tables.table import Table
else:
    pa = lazy_import("pyarrow", extra="arrow")
    pq = lazy_import("pyarrow.parquet", extra="arrow")


def skeletons_to_parquet(
    paths: Paths,
    out_path: str | PathLike[str] | ObjectPath,
    *,
    strict: bool = False,
    progress: Callable[[SkeletonTables], None] | None = None,
) -> tuple[FileError, ...]:
    """Write the skeletons of many files as Parquet, with memory bounded by a batch, and return the files that failed.

    ``out.parquet`` holds the nodes; beside it ``out.edges.parquet``, ``out.trees.parquet``, ``out.comments.parquet``,
    ``out.branchpoints.parquet`` and ``out.files.parquet``. Columns are those of :class:`SkeletonTables`, vectors as one
    for each number (``position_x``). What is there is replaced when everything is written; nothing is where no
    file could be read.

    Parameters
    ----------
    paths, strict
        As for :func:`read_skeletons`.
    out_path
        The file for the nodes, ending in ``.parquet``. For a bucket files are made among the temporary ones first.
    progress
        Called with each batch once it is written.

    Raises
    ------
    AnnotationSuffixError
        `out_path` does not end in ``.parquet``.
    MissingExtraError
        pyarrow is not installed.

    Examples
    --------
    >>> skeletons_to_parquet("folder", "out.parquet")  # doctest: +SKIP
    ()
    """
    out = any_path(out_path, "a folder of tables")
    if out.suffix != ".parquet":
        raise AnnotationSuffixError(f"{out}: a file of Parquet ends in .parquet")
    with local_folder(out.parent, "tables") as folder:
        return _write(paths, folder / out.name, strict=strict, progress=progress)


def _write(
    paths: Paths, out: Path, *, strict: bool, progress: Callable[[SkeletonTables], None] | None
) -> tuple[FileError, ...]:
    errors: list[FileError] = []
    files_read = 0
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(_ParquetFile(path)) for name, path in parquet_files(out).items()}
        for tables in iterate_skeletons(paths, strict=strict):
            errors += tables.errors
            files_read += tables.files.rows - len(tables.errors)
            for name, file in files.items():
                file.add(getattr(tables, name))
            if progress is not None:
                progress(tables)
            # Not kept while the next batch is read: two at once would double the peak.
            del tables
        for file in files.values() if files_read or not errors else ():
            file.place()
    return tuple(errors)


def parquet_files(out: Path) -> dict[str, Path]:
    """Return the file of each table.

    Examples
    --------
    >>> from pathlib import Path
    >>> parquet_files(Path("out.parquet"))["trees"].name
    'out.trees.parquet'
    """
    names = [each.name for each in fields(SkeletonTables) if each.type == "Table"]
    return {name: out if name == "nodes" else out.with_suffix(f".{name}.parquet") for name in names}


class _Draft:
    """A file of Parquet in a schema, written beside the name that it may get."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self._part = PartFile(path.parent, path.name)
        self._path, self.schema = path, schema
        self._writer = pq.ParquetWriter(self._part.file, schema, compression="zstd")

    def add(self, rows: pa.Table) -> None:
        self._writer.write_table(_filled(rows, self.schema))

    def widened(self, new: list[pa.Field]) -> _Draft:
        """Return another draft, with what was written so far and further columns."""
        wider = _Draft(self._path, pa.schema([*self.schema, *new]))
        try:
            self._writer.close()
            self._part.file.flush()
            with pq.ParquetFile(self._part.path) as written:
                for number in range(written.num_row_groups):
                    wider.add(written.read_row_group(number))
        except BaseException as error:
            wider.leave(error)
            raise
        self.leave(None)
        return wider

    def place(self) -> None:
        self._writer.close()
        self._part.commit(self._path)

    def leave(self, error: BaseException | None) -> None:
        """Remove what has not got its name; `error` is what ended the work."""
        # it may have a footer to write, which fails once more on a full disk
        with contextlib.suppress(OSError):
            self._writer.close()
        self._writer.is_open = False
        self._part.__exit__(None if error is None else type(error), error, None)


class _ParquetFile:
    """A file of Parquet under construction, beside its final name."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._draft: _Draft | None = None

    def __enter__(self) -> Self:
        return self

    def add(self, table: Table) -> None:
        """Write the rows of a table; columns that come late are empty in the rows before."""
        rows = to_arrow(flat(table))
        if self._draft is None:
            self._draft = _Draft(self._path, rows.schema)
        new = [column for column in rows.schema if column.name not in self._draft.schema.names]
        if new:
            self._draft = self._draft.widened(new)
        if rows.num_rows:
            self._draft.add(rows)

    def place(self) -> None:
        """Finish the file and give it its name."""
        if self._draft is not None:
            self._draft.place()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._draft is not None:
            self._draft.leave(error)


def _filled(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    columns: list[Any] = []
    for column in schema:
        known = column.name in rows.schema.names
        columns.append(rows.column(column.name) if known else pa.nulls(rows.num_rows, column.type))
    return pa.Table.from_arrays(columns, schema=schema)
