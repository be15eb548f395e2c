"""A folder seen through FUSE: as on network mounts, files come and go while they are open, and names are remembered.

``python -m tests.fuse.mount ARGUMENTS``: pytest with these arguments and with all its temporary files on such a mount.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST = 10.0  # seconds until a mount is there


def reason_against() -> str | None:
    """Return why there are no mounts here, ``None`` where there are."""
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        return "mounts are made by /dev/fuse, which is not there or not ours"
    if shutil.which("bindfs") is None:
        return "mounts are made by bindfs, which is not installed"
    with tempfile.TemporaryDirectory() as folder:
        try:
            with mounted(Path(folder)):
                return None
        except OSError as error:
            return str(error)


@contextmanager
def mounted(folder: Path) -> Iterator[Path]:
    """Yield a folder in `folder` that is another one, seen through FUSE, until the block ends.

    Raises
    ------
    OSError
        It cannot be mounted; with what was said about it.
    """
    behind, seen = folder / "behind", folder / "seen"
    behind.mkdir()
    seen.mkdir()
    server = subprocess.Popen(
        ["bindfs", "-f", "--no-allow-other", str(behind), str(seen)], stderr=subprocess.PIPE, text=True
    )
    try:
        ends = time.monotonic() + LONGEST
        while not os.path.ismount(seen):
            if server.poll() is not None or time.monotonic() > ends:
                server.kill()
                raise OSError(f"bindfs does not mount here: {server.communicate()[1].strip()}")
            time.sleep(0.02)
        yield seen
    finally:
        # Lazily: what a test has left open must not keep the mount.
        unmount = ["umount", "-l"] if os.geteuid() == 0 else ["fusermount", "-u", "-z"]
        if os.path.ismount(seen):
            subprocess.run([*unmount, str(seen)], check=False)
        server.terminate()
        server.communicate()


def run(arguments: list[str], folder: Path) -> int:
    """Run pytest with its temporary files on a mount in `folder`."""
    with mounted(folder) as seen:
        (seen / "tmp").mkdir()
        environment = {**os.environ, "TMPDIR": str(seen / "tmp")}
        pytest = [sys.executable, "-m", "pytest", f"--basetemp={seen / 'pytest'}", "-p", "no:cacheprovider"]
        return subprocess.run([*pytest, *arguments], env=environment, check=False).returncode


def main() -> None:
    reason = reason_against()
    if reason is not None:
        sys.exit(f"skipped: {reason}")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        sys.exit(run(sys.argv[1:], Path(folder)))


if __name__ == "__main__":
    main()
