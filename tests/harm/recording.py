"""What a process asks of the file system, in order, with all bytes: the log of strace, read."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

# All that can change a file system or says by which number a file is known. Calls of the kind that are not understood
# are an error of whoever reads the log.
CALLS = (
    "open", "openat", "openat2", "creat", "close", "dup", "dup2", "dup3", "fcntl", "lseek",
    "write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile", "splice", "ioctl", "mmap",
    "truncate", "ftruncate", "fallocate", "fsync", "fdatasync", "sync", "syncfs", "sync_file_range",
    "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat", "mknod", "mknodat",
    "unlink", "unlinkat", "rmdir", "mkdir", "mkdirat", "chdir", "io_uring_setup",
)  # fmt: skip
# Longer than any file of the jobs; strace makes place for as much only when there is as much.
LONGEST = 64 << 20

_LINE = re.compile(r"(\d+)\s+(.*)", re.DOTALL)
_DONE = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+)( .*)?$", re.DOTALL)
_RESUMED = re.compile(r"<\.\.\. (\w+) resumed>\s*(.*)", re.DOTALL)
_UNFINISHED = " <unfinished ...>"
# See `calls`.
_AT_ONCE = {"close", "mkdir", "mkdirat", "rename", "renameat", "renameat2", "link", "linkat", "symlink", "symlinkat"}


@dataclass(frozen=True)
class Call:
    """A call that succeeded.

    Attributes
    ----------
    name
        What was asked.
    arguments
        As strace writes them, split; texts are still hexadecimal.
    result
        What was answered.
    """

    name: str
    arguments: Sequence[str]
    result: int


def is_possible() -> bool:
    """Return whether processes can be traced here."""
    if shutil.which("strace") is None:
        return False
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return tried.returncode == 0


def record(command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
    """Run a command and write down what it asks of the file system."""
    calls = "trace=" + ",".join(CALLS)
    whole = ["-xx", "-s", str(LONGEST)]
    strace = ["strace", "-f", "--seccomp-bpf", *whole, "-e", calls, "-e", "signal=none", "-o", str(log)]
    done = subprocess.run([*strace, *command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the recorded process failed: {done.stderr[-3000:]}")


def calls(log: Path) -> Iterator[Call]:
    """Yield the calls that succeeded, in an order in which they may have taken effect.

    A call that others came between has two lines, and took effect at some time from the one to the other. What makes
    a name or gives a number back is told where it begins, since another thread may have found the name, or been given
    the number, before it returned. All else is told where it ends.
    """
    begun: dict[str, int] = {}
    texts: dict[int, str] = {}
    with log.open() as lines:
        for number, line in enumerate(lines):
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            thread, text = found.groups()
            if text.endswith(_UNFINISHED):
                begun[thread] = number
                texts[number] = text.removesuffix(_UNFINISHED)
                continue
            resumed = _RESUMED.match(text)
            if resumed:
                first = begun.pop(thread)
                whole = texts.pop(first) + resumed[2]
                texts[first if resumed[1] in _AT_ONCE else number] = whole
            else:
                texts[number] = text
    for _, text in sorted(texts.items()):
        done = _DONE.match(text)
        if done and not done[3].startswith("-"):
            yield Call(done[1], done[2].split(", "), int(done[3], 0))


def text_of(argument: str) -> bytes:
    """Return the bytes that strace has written as hexadecimal numbers."""
    if not (argument.startswith('"') and argument.endswith('"')):
        raise ValueError(f"a text that was cut: {argument[-80:]}")
    return bytes.fromhex(argument[1:-1].replace("\\x", ""))


def name_of(argument: str) -> str:
    """Return a path."""
    return text_of(argument).decode()
