"""What reads one table of an HDF5 file for another process, and ends instead of it where a damaged file ends it.

Run as a script with the path of the file and the name of the table. It describes the table, and answers each line of
two numbers with the entries from the first to before the second: a line of JSON, and the bytes that it tells of. It
imports nothing of wkfast, to begin in little time.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
from contextlib import suppress
from typing import Any

import numpy as np

h5py: Any = importlib.import_module("h5py")

# Bytes of memory that this process may take, decoded chunks of 1 GiB included: sizes in damaged files are anything.
_MOST_MEMORY = 8 << 30


def main(path: str, name: str) -> None:
    """Answer until nobody asks any more."""
    _limit()
    try:
        with h5py.File(path, "r") as file:
            table = _own_table(file, name)
            _tell(shape=_plain(table, "shape"), dtype=_dtype(table), chunks=_plain(table, "chunks"))
            for line in sys.stdin:
                start, stop = map(int, line.split())
                _send(table, start, stop)
    except KeyError:
        _tell(missing=name)
    except Exception as error:  # noqa: BLE001 - of damaged files, the library raises what it likes
        _tell(error=str(error))


def _limit() -> None:
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, _MOST_MEMORY)):
        with suppress(OSError, ValueError):  # a lower one holds already, or the system has none
            resource.setrlimit(what, (most, most))


def _own_table(file: Any, name: str) -> Any:
    """Return the table of a file if it lies in this very file: another may be anything."""
    if isinstance(file.get(name, getlink=True), h5py.ExternalLink):
        raise ValueError(f"{name!r} is said to lie in another file")  # noqa: TRY004 - told as what it is by who asks
    table = file[name]
    if getattr(table, "external", None) or getattr(table, "is_virtual", False):
        raise ValueError(f"the entries of {name!r} are said to lie in other files")
    return table


def _plain(table: Any, name: str) -> list[int] | None:
    value = getattr(table, name, None)
    return None if value is None else [int(each) for each in value]


def _dtype(table: Any) -> str | None:
    dtype = getattr(table, "dtype", None)
    return None if dtype is None else np.dtype(dtype).str


def _send(table: Any, start: int, stop: int) -> None:
    try:
        entries = np.ascontiguousarray(table[start:stop])
    except Exception as error:  # noqa: BLE001 - codecs raise what they like
        _tell(error=str(error))
        return
    _tell(bytes=entries.nbytes)
    sys.stdout.buffer.write(entries.data.cast("B"))
    sys.stdout.buffer.flush()


def _tell(**facts: Any) -> None:
    sys.stdout.buffer.write(json.dumps(facts).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
