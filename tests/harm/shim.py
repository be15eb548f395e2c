"""The library that makes calls of the system fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path


def reason_against() -> str | None:
    """Return why it cannot be made here, ``None`` where it can."""
    if shutil.which("cc") is None or sys.platform != "linux":
        return "calls are made to fail by a library in C: that needs Linux and cc"
    return None


def compiled(folder: Path) -> Path:
    """Make it in a folder, and return its file."""
    library = folder / "faults.so"
    source = Path(__file__).with_name("faults.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True)
    return library
