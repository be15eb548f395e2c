"""Functions of callers that work on chunks, compiled by numba where it can, called as they are where not.

The core calls machine code by its address, from its own threads and without the GIL. What went wrong in it is found out
by calling the same function in Python once more, so that errors name the line.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast._warnings import warn
from wkfast.dataset.user_functions import Handed, compiled, failed, name_of, packed, plain, takes
from wkfast.errors import DatasetError, DatasetValueError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy_import("numpy")

numba: Any = lazy_import("numba")


@dataclass
class ChunkFunction:
    """A function of the voxels of a chunk, and its machine code if there is any.

    Attributes
    ----------
    code
        What numba compiled: kept, or its address would point nowhere.
    """

    function: Callable[[NDArray[Any]], NDArray[Any]]
    source: np.dtype[Any]
    target: np.dtype[Any]
    code: Any = field(default=None, repr=False)

    @classmethod
    def of(cls, function: Any, source: np.dtype[Any], target: np.dtype[Any]) -> ChunkFunction:
        """Compile a function, if that is possible; else it stays Python's, and a warning says so.

        Raises
        ------
        DatasetValueError
            It is no function, or what it returns is no array of the target's dtype.
        """
        if not takes(function, 1):
            raise DatasetValueError(f"{name_of(function)} is no function of the voxels of a chunk, one array")
        code, reason = _compiled(Handed(function), source, target)
        if code is None:
            slow = "is called as it is, chunk by chunk with one thread at a time"
            warn(f"{name_of(function)} {slow}: {reason}", UserWarning)
        return cls(plain(function), source, target, code)

    @property
    def address(self) -> int | None:
        """Where its machine code lies."""
        return None if self.code is None else int(self.code.address)

    def __call__(self, _place: list[int], voxels: NDArray[Any], out: NDArray[Any]) -> None:
        """Fill `out` with what becomes of a chunk.

        Raises
        ------
        DatasetError
            The function failed, or returned something else than such an array; the message names the line.
        """
        try:
            made = self.function(voxels)
        except Exception as error:
            raise DatasetError(failed(self.function, error)) from error
        found = np.asarray(made)
        if found.shape != out.shape or found.dtype != self.target:
            raise DatasetError(
                f"{name_of(self.function)} returned {found.dtype} of the shape {found.shape}, expected {self.target} "
                f"of {out.shape}"
            )
        out[...] = found

    def packed(self) -> bytes:
        """Return it as it travels to other processes: by name where it has one there, else with its code.

        Raises
        ------
        DatasetValueError
            It does not travel.
        """
        facts = (self.function, self.source.name, self.target.name, self.code is not None)
        return packed(facts, self.function, DatasetValueError)

    @classmethod
    def unpacked(cls, content: bytes) -> ChunkFunction:
        """Return what :meth:`packed` packed, compiled in this process if it was in the other."""
        function, source, target, compiled = pickle.loads(content)  # noqa: S301 - from the call that hands out the jobs
        kinds = np.dtype(source), np.dtype(target)
        return cls.of(function, *kinds) if compiled else cls(function, *kinds)


@lru_cache(maxsize=32)
def _compiled(handed: Handed, source: np.dtype[Any], target: np.dtype[Any]) -> tuple[Any, str]:
    """Return machine code for a function, or why there is none."""
    function, axes = handed.function, 4
    inner, made, reason = compiled(function, lambda: (numba.types.Array(numba.from_dtype(source), axes, "F"),))
    if inner is None:
        return None, reason
    if getattr(made, "ndim", None) != axes or made.dtype != numba.from_dtype(target):
        raise DatasetValueError(
            f"{name_of(function)} returns {made} for an array (c, x, y, z) of {source}, expected an array of {target} "
            f"with four axes: e.g. return voxels.astype(np.{target})"
        )
    return _call_of(inner, source, target), ""


def _call_of(inner: Any, source: np.dtype[Any], target: np.dtype[Any]) -> Any:
    """Return a C function that calls a compiled one on chunks; it returns 1 if all went well."""
    farray, int64 = numba.farray, numba.types.int64
    pointers = [numba.types.CPointer(numba.from_dtype(dtype)) for dtype in (source, target)]

    @numba.cfunc(int64(*pointers, int64, int64, int64, int64))  # type: ignore[untyped-decorator, unused-ignore]
    def call(given: Any, wanted: Any, c: int, x: int, y: int, z: int) -> int:
        try:
            made = inner(farray(given, (c, x, y, z)))
            if made.shape != (c, x, y, z):
                return 0
            # One run in the order of memory: numba's copy along four axes takes 20 times as long, and 4 s to compile.
            run = made.T.ravel()
            for place in range(run.size):
                wanted[place] = run[place]
        except Exception:  # noqa: BLE001 - Python is asked again, and says which
            return 0
        return 1

    return call
