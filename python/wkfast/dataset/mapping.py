"""Which labels become which: what callers may give, and the table in a file that the core reads."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from wkfast._lazy import lazy_import
from wkfast.addresses import is_path, local_path
from wkfast.buckets import ObjectPath, remove_file
from wkfast.dataset import agglomerates
from wkfast.dataset.missing_labels import Missing
from wkfast.dataset.statistics import segment_table
from wkfast.dataset.user_functions import failed
from wkfast.errors import DatasetError, DatasetValueError, VolumeDataError, WkfastError
from wkfast.temporary import owned_temporary_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from wkfast.dataset.layer import Layer
    from wkfast.dataset.mag_view import MagView

    Pairs = tuple[NDArray[Any], NDArray[Any]]
else:
    np = lazy_import("numpy")

MISSING = tuple(word.value for word in Missing)
# As the core reads it, see `mapping.rs`: mark, kind, entries, first label, then 64-bit numbers.
_MARK, _PAIRS, _DENSE = int.from_bytes(b"wkflabel", "little"), 0, 1
_PAIR = 2
# What names of such files end in.
TABLE_SUFFIX = ".wkfast-mapping"


@dataclass(frozen=True)
class TableFile:
    """A mapping in a file, here or in a bucket.

    Attributes
    ----------
    path
        The file.
    largest
        The largest label that it makes.
    digest
        Tells its content apart.
    is_new
        Whether the file was not there before.
    """

    path: Path | ObjectPath
    largest: int
    digest: str
    is_new: bool


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
        old = list(labels())
        new = [_ask(mapping, label) for label in old]
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
    if len(made := after[(before == 0) & (after != 0)]):
        raise DatasetValueError(
            f"the mapping makes 0 {made[0]}: 0 is what no voxel was given, also where there is no chunk, and stays 0"
        )
    order = np.argsort(before, kind="stable")
    before, after = before[order], after[order]
    twice = np.flatnonzero(before[1:] == before[:-1])
    if len(twice):
        raise DatasetValueError(f"the mapping names label {before[twice[0]]} twice")
    return before, after


def _ask(mapping: Callable[[int], Any], label: int) -> Any:
    """Return what a function makes of a label.

    Raises
    ------
    DatasetError
        It failed; the message names label and line.
    """
    try:
        return mapping(label)
    except Exception as error:
        raise DatasetError(failed(mapping, error, f" for {label}")) from error


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
    folder: Path | ObjectPath, mapping: object, dtype: np.dtype[Any], labels: Callable[[], Iterable[int]]
) -> Iterator[TableFile]:
    """Yield a file in `folder`, where workers find it, that holds a mapping as the core reads it.

    Raises
    ------
    DatasetValueError
        The mapping is none.
    DatasetError
        An agglomerate file is damaged.
    """
    table = write_table(folder, mapping, dtype, labels, lambda _: f".{uuid.uuid4().hex}{TABLE_SUFFIX}")
    try:
        yield table
    finally:
        remove_file(table.path)


def write_table(
    folder: Path | ObjectPath,
    mapping: object,
    dtype: np.dtype[Any],
    labels: Callable[[], Iterable[int]],
    name: Callable[[str], str],
) -> TableFile:
    """Write such a file, which is the caller's from then on; see :func:`table_file`.

    Parameters
    ----------
    name
        What the file is called, asked with the digest of its content.
    """
    with ExitStack() as stack:
        here = folder if isinstance(folder, Path) else stack.enter_context(owned_temporary_folder("labels"))
        draft, largest, digest = _draft_of(here, mapping, dtype, labels)
        path = folder / name(digest)
        is_new = not path.exists()
        if isinstance(path, ObjectPath):
            path.put_file(draft)
        else:
            draft.replace(path)
    return TableFile(path, largest, digest, is_new)


def _draft_of(
    folder: Path, mapping: object, dtype: np.dtype[Any], labels: Callable[[], Iterable[int]]
) -> tuple[Path, int, str]:
    """Write a table in a folder of this machine; return it, its largest label and its digest."""
    path = folder / f".{uuid.uuid4().hex}{TABLE_SUFFIX}"
    try:
        with path.open("wb") as file:
            table = _Hashed(file)
            if is_path(mapping):
                largest = _write_dense(table, local_path(mapping, "an agglomerate file"), dtype)
            else:
                old, new = pairs_of(mapping, dtype, labels)
                largest = int(new.max(initial=0))
                _write_pairs(table, old, new)
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, WkfastError):
            raise VolumeDataError(f"{folder}: the table of labels cannot be written: {error.strerror}") from error
        raise
    return path, largest, table.digest


def largest_after(table: TableFile, before: int | None, missing: str) -> int | None:
    """Return an id that none of a layer's is larger than once its labels are others; ``None``: it is not known."""
    if missing != "keep":
        return max(0, table.largest)
    return None if before is None else max(0, table.largest, before)


def labels_in(mags: Iterable[MagView]) -> list[int]:
    """Return every label that there is in any mag, for functions to be asked once about each."""
    mags = list(mags)
    found = [segment_table(mag, None).columns()[0] for mag in mags]
    bits = np.unique(np.concatenate(found)) if found else np.empty(0, np.uint64)
    signed = bool(mags) and mags[0].get_dtype().kind == "i"
    labels: list[int] = (bits.view(np.int64) if signed else bits).tolist()
    return labels


def check_labels(layer: Layer, missing: object) -> None:
    """Make sure that labels of a layer can become others.

    Raises
    ------
    DatasetValueError
        It holds none, or `missing` is no word for what happens to labels that a mapping lacks.
    """
    if missing not in MISSING:
        raise DatasetValueError(f"missing is {missing!r}, expected one of {', '.join(map(repr, MISSING))}")
    if layer.dtype.kind not in "iu" or layer.num_channels != 1:
        raise DatasetValueError(f"{layer} holds no labels: expected one channel of whole numbers")


class _Hashed:
    """A file whose content is digested while it is written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.blake2b(digest_size=16)

    def write(self, content: bytes) -> None:
        self._hash.update(content)
        self._file.write(content)

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _write_pairs(file: _Hashed, old: NDArray[Any], new: NDArray[Any]) -> None:
    bits = [_bits(old), _bits(new)]
    order = np.argsort(bits[0])
    file.write(_header(_PAIRS, len(old), 0))
    for column in bits:
        file.write(column[order].tobytes())


def _write_dense(file: _Hashed, agglomerate: Path, dtype: np.dtype[Any]) -> int:
    """Copy the table of an agglomerate file piece by piece: it may be larger than memory. Return its largest label."""
    limit, largest = np.iinfo(dtype).max, 0
    with agglomerates.opened(agglomerate) as (entries, pieces):
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
