"""Which labels become which: what callers may give, and the table in a file that the core reads."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from wkfast.addresses import is_path, local_path
from wkfast.dataset import agglomerates
from wkfast.errors import DatasetError, DatasetValueError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Pairs = tuple[NDArray[Any], NDArray[Any]]

MISSING = ("keep", "zero", "error")
# As the core reads it, see `reshape/mapping.rs`: mark, kind, entries, first label, then 64-bit numbers.
_MARK, _PAIRS, _DENSE = int.from_bytes(b"wkflabel", "little"), 0, 1
_PAIR = 2


@dataclass(frozen=True)
class TableFile:
    """A mapping in a file, and the largest label that it makes."""

    path: Path
    largest: int


def pairs_of(mapping: object, dtype: np.dtype[Any], labels: Callable[[], Iterable[int]]) -> Pairs:
    """Return old labels in ascending order and what they become, both in a layer's dtype.

    Parameters
    ----------
    mapping
        A dict, two arrays, or a function of one label.
    labels
        What there is, asked for where a function has to be called.

    Raises
    ------
    DatasetValueError
        It is none of these, names a label twice, or a number that the dtype does not hold.

    Examples
    --------
    >>> old, new = pairs_of({7: 1, 2: 9}, np.dtype("uint16"), list)
    >>> old.tolist(), new.tolist()
    ([2, 7], [9, 1])
    """
    if callable(mapping):
        given = list(labels())
        old, new = given, [mapping(label) for label in given]
    elif isinstance(mapping, Mapping):
        old, new = list(mapping.keys()), list(mapping.values())
    elif isinstance(mapping, tuple) and len(mapping) == _PAIR:
        old, new = mapping
    else:
        raise DatasetValueError(
            f"{type(mapping).__name__} is no mapping of labels: expected a dict, two arrays, a function, or the path "
            "of an agglomerate file"
        )
    before, after = _labels(old, dtype, "the mapping names"), _labels(new, dtype, "the mapping makes labels")
    if before.shape != after.shape:
        raise DatasetValueError(f"the mapping has {len(before)} labels, but {len(after)} for them to become")
    order = np.argsort(before, kind="stable")
    before, after = before[order], after[order]
    twice = np.flatnonzero(before[1:] == before[:-1])
    if len(twice):
        raise DatasetValueError(f"the mapping names label {before[twice[0]]} twice")
    return before, after


def _labels(given: Any, dtype: np.dtype[Any], what: str) -> NDArray[Any]:
    """Return labels in a dtype that holds all of them."""
    values = np.asarray(given)
    if values.size == 0:
        return np.empty(0, dtype)
    if values.ndim != 1:
        raise DatasetValueError(f"{what} in an array of the shape {values.shape}, expected one axis")
    limits = np.iinfo(dtype)
    # numpy makes floats of lists that mix large and small numbers, and objects of larger ones
    exact = values.tolist() if isinstance(given, np.ndarray) else list(given)
    if values.dtype.kind in "iu":
        outside = (values < limits.min) | (values > limits.max)
    else:
        outside = np.array([not _is_label(value, limits) for value in exact])
    wrong = np.flatnonzero(outside)
    if len(wrong):
        raise DatasetValueError(f"{what} {exact[wrong[0]]!r}, which is no label of the layer's type {dtype}")
    return values.astype(dtype) if values.dtype.kind in "iu" else np.array([int(value) for value in exact], dtype)


def _is_label(value: object, limits: np.iinfo[Any]) -> bool:
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        return False
    return bool(limits.min <= int(value) <= limits.max)


@contextmanager
def table_file(
    folder: Path, mapping: object, dtype: np.dtype[Any], labels: Callable[[], Iterable[int]]
) -> Iterator[TableFile]:
    """Yield a file in `folder`, where workers find it, that holds a mapping as the core reads it.

    Raises
    ------
    DatasetValueError
        The mapping is none.
    DatasetError
        An agglomerate file is damaged.
    """
    path = folder / f".{uuid.uuid4().hex}.wkfast-mapping"
    try:
        if is_path(mapping):
            largest = _write_dense(path, local_path(mapping, "an agglomerate file"), dtype)
        else:
            old, new = pairs_of(mapping, dtype, labels)
            largest = int(new.max(initial=0))
            _write_pairs(path, old, new)
        yield TableFile(path, largest)
    finally:
        path.unlink(missing_ok=True)


def _write_pairs(path: Path, old: NDArray[Any], new: NDArray[Any]) -> None:
    bits = [_bits(old), _bits(new)]
    order = np.argsort(bits[0])
    with path.open("wb") as file:
        file.write(_header(_PAIRS, len(old), 0))
        for column in bits:
            file.write(column[order].tobytes())


def _write_dense(path: Path, agglomerate: Path, dtype: np.dtype[Any]) -> int:
    """Copy the table of an agglomerate file piece by piece: it may be larger than memory. Return its largest label."""
    limit, largest = np.iinfo(dtype).max, 0
    with agglomerates.opened(agglomerate) as (entries, pieces), path.open("wb") as file:
        file.write(_header(_DENSE, entries, 0))
        start = 0
        for piece in pieces:
            beyond = np.flatnonzero(piece > limit)
            if len(beyond):
                raise DatasetError(
                    f"{agglomerate}: segment {start + beyond[0]} belongs to agglomerate {piece[beyond[0]]}, which is "
                    f"no label of the layer's type {dtype}"
                )
            file.write(_bits(piece).tobytes())
            start += len(piece)
            largest = max(largest, int(piece.max(initial=0)))
        if start != entries:
            raise DatasetError(f"{agglomerate}: has {start} of {entries} segments; it is not complete")
    return largest


def _header(kind: int, entries: int, first: int) -> bytes:
    return np.array([_MARK, kind, entries, first], "<u8").tobytes()


def _bits(labels: NDArray[Any]) -> NDArray[np.uint64]:
    """Return labels as the core numbers them: 64 bits, negative ones as two's complement."""
    if labels.dtype.kind == "i":
        return labels.astype("<i8").view("<u8")
    return labels.astype("<u8")
