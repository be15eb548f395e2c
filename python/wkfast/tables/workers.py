"""Files read by other people's workers: what a job gets, and the columns of all jobs put together."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast import _core
from wkfast.buckets import ObjectPath
from wkfast.jobs import over_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wkfast.tables.columns import FileFacts
    from wkfast.tables.sources import Source

    Record = dict[str, dict[str, Any]]

# What a file of unknown size counts for: a few of them make a job.
_UNKNOWN_BYTES = 8 << 20


@dataclass(frozen=True)
class ReadWork:
    """How files are read, as jobs get it."""

    strict: bool

    def run(
        self, items: Sequence[tuple[int, Source]], threads: int | None
    ) -> tuple[Record, list[FileFacts | Exception]]:
        """Read files that follow each other; rows have their numbers among all."""
        files = [(source.file, source.member) for _, source in items]
        return _core.read_tables(files, items[0][0], strict=self.strict, threads=threads)


def read_on_workers(
    sources: Sequence[Source], executor: Any, *, strict: bool
) -> tuple[Record, list[FileFacts | Exception]]:
    """Return what ``_core.read_tables`` does of all files, read by jobs of `executor`.

    Raises
    ------
    ExecutorError
        A worker died, or the executor takes no work.
    """
    items = list(enumerate(map(_for_workers, sources)))
    done = list(over_items(executor, ReadWork(strict), items, lambda: [_cost(source) for source in sources]))
    return joined([record for record, _ in done]), list(chain.from_iterable(outcomes for _, outcomes in done))


def _cost(source: Source) -> int:
    """Return about how many bytes a file has; objects that nobody has looked at are not asked for one by one."""
    if source.known_size is None and isinstance(source.path, ObjectPath):
        return _UNKNOWN_BYTES
    return source.size


def _for_workers(source: Source) -> Source:
    """Return a file as processes of any working directory find it."""
    return source._replace(path=str(Path(source.path).absolute())) if isinstance(source.path, str) else source


def joined(records: Sequence[Record]) -> Record:
    """Return records of the core as one, row after row."""
    if not records:
        return _core.read_tables([])[0]
    return {table: _joined_columns([record[table] for record in records]) for table in records[0]}


def _joined_columns(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    rows = [len(part["file"]) for part in parts]
    # Some have axes that others have not.
    names = dict.fromkeys(chain.from_iterable(parts))
    return {name: _joined_column([part.get(name) for part in parts], rows) for name in names}


def _joined_column(parts: Sequence[Any], rows: Sequence[int]) -> Any:
    """Return a column: an array, texts, or values and where there are none; `None` where no part has it."""
    there = [part for part in parts if part is not None]
    if not there:
        return None
    if isinstance(there[0], tuple):
        return _joined_values(parts, rows, there[0][0])
    if isinstance(there[0], np.ndarray):
        return np.concatenate(parts)
    return list(chain.from_iterable(parts))


def _joined_values(parts: Sequence[Any], rows: Sequence[int], like: Any) -> tuple[Any, Any]:
    values = np.zeros((sum(rows), *like.shape[1:]), like.dtype)
    absent = np.ones(sum(rows), np.bool_)
    first = 0
    for part, count in zip(parts, rows, strict=True):
        if part is not None:
            values[first : first + count] = part[0]
            absent[first : first + count] = False if part[1] is None else part[1]
        first += count
    return values, absent if absent.any() else None
