"""A table of an HDF5 file, read by a process of its own: damaged files end the process that reads them."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from wkfast._lazy import lazy_import

if TYPE_CHECKING:
    from io import BufferedReader, BufferedWriter
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray
else:
    np = lazy_import("numpy")

_CHILD = Path(__file__).with_name("hdf5_child.py")
# Bytes that are on their way from one process to the other at most: few waits for tables of gigabytes.
_PIPE = 1 << 20
# Bytes of a line that the process tells.
_MOST_TOLD = 1 << 16


class Hdf5Table:
    """One table of an HDF5 file, as long as the block; entries are read when they are asked for.

    Attributes
    ----------
    shape
        Entries along each axis; ``None`` where the file has something else under the name.
    dtype
        Type of an entry; ``None`` where there are none.
    chunks
        Entries that are stored together, along each axis; ``None`` where all are.

    Raises
    ------
    KeyError
        The file has no such table.
    ModuleNotFoundError
        h5py is missing.
    ValueError
        The file is none or damaged, or keeps entries in other files.
    """

    def __init__(self, path: Path, name: str) -> None:
        if importlib.util.find_spec("h5py") is None:
            raise ModuleNotFoundError("No module named 'h5py'", name="h5py")
        if not sys.executable:
            raise ValueError("HDF5 is read by a process of its own, and sys.executable names no interpreter for it")
        # It finds the packages that this process finds, and none beside the script.
        known = os.pathsep.join(each for each in sys.path if each)
        self._process = subprocess.Popen(
            [sys.executable, "-P", _CHILD, path, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            pipesize=_PIPE,
            env={**os.environ, "PYTHONPATH": known},
        )
        # Nothing is buffered that could not be written in the end.
        self._asks = cast("BufferedWriter", self._process.stdin).raw
        self._answers = cast("BufferedReader", self._process.stdout)
        try:
            told = self._told()
        except BaseException:
            self._end()
            raise
        self.shape = told["shape"]
        self.dtype = told["dtype"] and np.dtype(told["dtype"])
        self.chunks = told["chunks"]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def __getitem__(self, which: slice) -> NDArray[Any]:
        """Return entries from `which.start` to before `which.stop`, or to the end.

        Raises
        ------
        ValueError
            They cannot be read.
        """
        start, stop, _ = which.indices(self.shape[0])
        entries = np.empty(max(stop - start, 0), self.dtype)
        try:
            self._asks.write(b"%d %d\n" % (start, stop))
        except BrokenPipeError:
            raise self._ended() from None
        told = self._told()
        if told["bytes"] != entries.nbytes:
            raise ValueError(f"{told['bytes']:,} bytes were read in the place of {entries.nbytes:,}")
        self._read(entries)
        return entries

    def _told(self) -> dict[str, Any]:
        line = self._answers.readline(_MOST_TOLD)
        if not line.endswith(b"\n"):
            raise self._ended()
        told: dict[str, Any] = json.loads(line)
        if "missing" in told:
            raise KeyError(told["missing"])
        if "error" in told:
            raise ValueError(told["error"])
        return told

    def _read(self, entries: NDArray[Any]) -> None:
        left = entries.data.cast("B")
        while left:
            count = self._answers.readinto(left)
            if not count:
                raise self._ended()
            left = left[count:]

    def _ended(self) -> ValueError:
        self._process.kill()
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return ValueError(f"the process that read it has ended ({how})")

    def _end(self) -> None:
        """End the process: it has nothing to tidy up."""
        self._process.kill()
        with self._process:
            pass
