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
_CLOSING = re.compile(r"close\((\d+)")


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
    """Yield the calls that succeeded, in the order in which they ended."""
    begun: dict[str, str] = {}
    with log.open() as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            thread, text = found.groups()
            if text.endswith(_UNFINISHED):
                begun[thread] = text.removesuffix(_UNFINISHED)
                closed = _CLOSING.match(text)
                if closed:  # before it returns, the number may be that of a file which another thread opens
                    yield Call("close", [closed[1]], 0)
                continue
            resumed = _RESUMED.match(text)
            if resumed:
                text = begun.pop(thread) + resumed[2]
                if resumed[1] == "close":
                    continue
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
