"""``wkfast clean``: what killed jobs have left goes, and nothing that somebody works on."""

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, get_args

from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import bytes_text, complain, tell, tell_json
from wkfast.errors import DatasetNotFoundError
from wkfast.temporary import OWNER, Purpose

# Names that wkfast gives to what is under construction, or waits to be removed; downloads end in 12 random digits.
_LEFT = re.compile(r"\.wkfast-(part|lock|gone|ticket|mapping)$|\.part-[0-9a-f]{12}$")
_GONE = ".wkfast-gone"
_TEMPORARY = re.compile(rf"wkfast-({'|'.join(get_args(Purpose))}|volume|mapping)-")
_HOUR = 3600


def clean(
    folder: Annotated[Path, Argument("A dataset, or any folder that jobs wrote into.")],
    *,
    dry_run: Annotated[bool, Option("Remove nothing, tell what would be.", spelling="--dry-run")] = False,
    older_than: Annotated[
        float, Option("Hours for which nothing changed in what cannot be seen to be nobody's.", least=0)
    ] = 24,
    as_json: Annotated[bool, Option("Print JSON for scripts.", spelling="--json")] = False,
) -> None:
    """Remove what killed jobs left in FOLDER and, of yours, in the folder for temporary files.

    What is locked stays, for somebody works on it. What cannot be locked (folders of some jobs, files where the file
    system has no locks) stays until nothing has changed in it for a day. Links are not followed.
    """
    if not folder.is_dir():
        raise DatasetNotFoundError(f"{folder} is no folder")
    removed = []
    for path in [*_left_in(folder), *_left_in_temporary()]:
        size = sum(each.lstat().st_size for each in _all_of(path) if not each.is_dir())
        if _is_live(path, older_than * _HOUR) or not (dry_run or _remove(path)):
            continue
        removed.append({"path": str(path), "bytes": size})
        if not as_json:
            tell(f"{'would remove' if dry_run else 'removed'} {path} ({bytes_text(size)})")
    if as_json:
        tell_json({"folder": str(folder), "removed": removed, "dry_run": dry_run})
    elif not removed:
        tell(f"nothing is left over in {folder}")


def _left_in(folder: Path) -> Iterator[Path]:
    """Yield what has a name of ours below a folder, without what lies in such folders."""
    for parent, folders, names in os.walk(folder):
        found = [name for name in folders if _LEFT.search(name)]
        folders[:] = [name for name in folders if name not in found]
        yield from (Path(parent) / name for name in [*found, *names] if _LEFT.search(name))


def _left_in_temporary() -> Iterator[Path]:
    """Yield folders that jobs of this user made for temporary files."""
    for path in Path(tempfile.gettempdir()).glob("wkfast-*"):
        if (
            _TEMPORARY.match(path.name)
            and path.is_dir()
            and not path.is_symlink()
            and path.stat().st_uid == os.geteuid()
        ):
            yield path


def _all_of(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")


def _is_live(path: Path, seconds: float) -> bool:
    """Return whether somebody may be working on it."""
    if path.name.endswith(_GONE):
        return False
    if path.is_dir() and not path.is_symlink() and _is_locked(path):
        return True
    owner = path / OWNER if path.is_dir() else path
    if owner.is_file() and not owner.is_symlink() and not path.name.endswith((".wkfast-lock", ".wkfast-mapping")):
        locked = _is_locked(owner)
        if locked is not None:
            return locked
    try:
        return max(each.lstat().st_mtime for each in _all_of(path)) > time.time() - seconds
    except OSError:  # it changes while it is looked at
        return True


def _is_locked(path: Path) -> bool | None:
    """Return whether somebody holds the lock of a file or folder; ``None`` where that cannot be told."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(opened)
    return False


def _remove(path: Path) -> bool:
    """Remove a file or folder, of a link the link; return whether it is gone."""
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        complain(f"cannot remove {path}: {error.strerror}", "yellow")
        return False
    return True
