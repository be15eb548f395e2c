"""What a system refuses a process as a whole: files beyond a size, and locks. Each holds from the call on, for good."""

from __future__ import annotations

import ctypes
import errno
import platform
import resource
import sys

# Number of the call `flock`.
_FLOCK = {"x86_64": 73, "aarch64": 32}
_MOST_PRIVILEGES, _FILTER = 38, 22
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000


def reason_against_filters() -> str | None:
    """Return why no call can be filtered here, ``None`` where it can."""
    known = sys.platform == "linux" and platform.machine() in _FLOCK
    return None if known else "filters of system calls are Linux's"


def limit_files(size: int) -> None:
    """Let writes beyond `size` bytes of a file fail with EFBIG, as on a file system that has no larger ones."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


class _Code(ctypes.Structure):
    _fields_ = (("code", ctypes.c_ushort), ("yes", ctypes.c_ubyte), ("no", ctypes.c_ubyte), ("k", ctypes.c_uint))


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("codes", ctypes.POINTER(_Code)))


def refuse_locks() -> None:
    """Let ``flock`` fail with ENOLCK.

    Raises
    ------
    OSError
        The system takes no filters.
    """
    number = _FLOCK[platform.machine()]
    program = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, _FAIL | errno.ENOLCK), (0x06, 0, 0, _ALLOW)]
    codes = (_Code * len(program))(*(_Code(*code) for code in program))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_MOST_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(
        _FILTER, 2, ctypes.byref(_Program(len(program), codes)), 0, 0
    ):
        raise OSError(ctypes.get_errno(), "no filters")
