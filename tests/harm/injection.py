"""Calls of the system that go past libc, made to fail by strace."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

# Those that the core makes itself, on files of a job alone.
SYSCALLS = ("copy_file_range", "pwrite64", "fallocate", "flock", "openat2", "renameat2")
# The last is what systems say that do not have a call.
SYSCALL_ERRORS = ("ENOSPC", "EIO", "EDQUOT", "EROFS", "EACCES", "EMFILE", "EINTR", "ENOSYS")


def numbers_of(run: Sequence[str], log: Path) -> dict[str, int]:
    """Return how often the thread that makes a call most often makes it, for each call."""
    subprocess.run([*_strace(log, *SYSCALLS), *run], check=True, capture_output=True)
    counts: dict[str, Counter[str]] = {call: Counter() for call in SYSCALLS}
    for line in log.read_text().splitlines():
        thread, _, text = line.partition(" ")
        call = text.strip().partition("(")[0]
        if call in counts:
            counts[call][thread] += 1
    return {call: max(of.values(), default=0) for call, of in counts.items()}


def injected(run: Sequence[str], log: Path, call: str, number: int, error: str) -> tuple[dict[str, Any] | None, int]:
    """Run where a call fails; return what the process says at its end, ``None`` if it died, and how many failed."""
    fault = ["-e", f"inject={call}:error={error}:when={number}"]
    done = subprocess.run([*_strace(log, call), *fault, *run], check=False, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    told = json.loads(lines[-1]) if done.returncode == 0 and lines else None
    return told, log.read_text().count("(INJECTED)")


def _strace(log: Path, *calls: str) -> list[str]:
    return ["strace", "-f", "--seccomp-bpf", "-e", "trace=" + ",".join(calls), "-e", "signal=none", "-o", str(log)]
