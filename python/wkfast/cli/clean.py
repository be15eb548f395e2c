"""``wkfast clean``: what killed jobs have left goes, and nothing that somebody works on."""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import Annotated, TypedDict, get_args

from wkfast._locks import take_lock
from wkfast.cli.arguments import Argument, Option
from wkfast.cli.console import bytes_text, complain, tell, tell_json
from wkfast.errors import DatasetNotFoundError
from wkfast.temporary import OWNER, Purpose

# Names that wkfast gives to what is under construction, or waits to be removed; downloads end in 12 random digits.
_LEFT = re.compile(r"\.wkfast-(part|lock|gone|ticket|mapping|old)$|\.part-[0-9a-f]{12}$")
_GONE, _ASIDE = ".wkfast-gone", ".wkfast-old"
# What a merge keeps in its target until it is committed; not removed: the same command goes on with it.
_MERGE = ".wkfast-merge"
_TEMPORARY = re.compile(rf"wkfast-({'|'.join(get_args(Purpose))}|mapping)-")
_HOUR = 3600


class _Found(TypedDict):
    """What was found, and how large it is."""

    path: str
    bytes: int


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

    What is locked stays, for somebody works on it. What cannot be locked (folders of some jobs, files where the
    file system has no locks) stays until nothing has changed in it for a day; how much that is is told. So are merges
    that are not finished, and stay. Links are not followed.
    """
    if not folder.is_dir():
        raise DatasetNotFoundError(f"{folder} is no folder")
    removed: list[_Found] = []
    kept: list[_Found] = []
    left, merges = _left_in(folder)
    for path in [*left, *_left_in_temporary()]:
        found = _found(path)
        state = _state_of(path, older_than * _HOUR)
        if state is _State.YOUNG:
            kept.append(found)
        elif state is _State.LEFT and (dry_run or _remove(path)):
            removed.append(found)
            if not as_json:
                tell(f"{'would remove' if dry_run else 'removed'} {path} ({bytes_text(found['bytes'])})")
    if as_json:
        facts = {"removed": removed, "kept": kept, "merges": [str(merge) for merge in merges]}
        tell_json({"folder": str(folder), **facts, "dry_run": dry_run})
        return
    if not removed and not kept and not merges:
        tell(f"nothing is left over in {folder}")
    for line in _told(kept, merges, older_than):
        tell(line)


class _State(Enum):
    """What is known of something with a name of ours."""

    AT_WORK = 1
    YOUNG = 2
    LEFT = 3


def _told(kept: Sequence[_Found], merges: Sequence[Path], hours: float) -> Iterator[str]:
    """Yield lines about what stays though nobody is known to work on it."""
    if kept:
        size, one = bytes_text(sum(each["bytes"] for each in kept)), kept[0]["path"]
        which = one if len(kept) == 1 else f"{len(kept):,} of them, such as {one}"
        yield (
            f"kept, as it changed within the last {hours:g} hours and may be somebody's: {which} ({size}); "
            "where nothing is at work, --older-than 0 removes that too"
        )
    for merge in merges:
        yield (
            f"kept: a merge into {merge} is not finished; the same command goes on with it, `wkfast merge status` "
            "tells how far it is, and whoever gives it up removes the folder"
        )


def _left_in(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return what has a name of ours below a folder, without what lies in such folders; and targets of open merges."""
    left, merges = [], []
    for parent, folders, names in os.walk(folder):
        if _MERGE in folders:
            merges.append(Path(parent))
        found = [name for name in folders if _LEFT.search(name)]
        folders[:] = [name for name in folders if name not in found]
        left += [Path(parent) / name for name in [*found, *names] if _LEFT.search(name)]
    return [path for path in left if not _is_all_there_is(path)], merges


def _is_all_there_is(path: Path) -> bool:
    """Return whether a folder was moved aside and nothing has its place: who reads it gives it its name back."""
    name = path.name.removesuffix(_ASIDE)
    return name != path.name and (name.startswith(".") or not os.path.lexists(path.with_name(name)))


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


def _found(path: Path) -> _Found:
    return {"path": str(path), "bytes": sum(each.lstat().st_size for each in _all_of(path) if not each.is_dir())}


def _all_of(path: Path) -> Iterator[Path]:
    yield path
    if path.is_dir() and not path.is_symlink():
        yield from path.rglob("*")


def _state_of(path: Path, seconds: float) -> _State:
    """Return whether somebody is at work on it, may be, or is not."""
    if path.name.endswith(_GONE):
        return _State.LEFT
    if path.is_dir() and not path.is_symlink() and _is_locked(path):
        return _State.AT_WORK
    owner = path / OWNER if path.is_dir() else path
    if owner.is_file() and not owner.is_symlink() and not path.name.endswith((".wkfast-lock", ".wkfast-mapping")):
        locked = _is_locked(owner)
        if locked is not None:
            return _State.AT_WORK if locked else _State.LEFT
    try:
        changed = max(each.lstat().st_mtime for each in _all_of(path))
    except OSError:  # it changes while it is looked at
        return _State.AT_WORK
    return _State.YOUNG if changed > time.time() - seconds else _State.LEFT


def _is_locked(path: Path) -> bool | None:
    """Return whether somebody holds the lock of a file or folder; ``None`` where that cannot be told."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        is_ours = take_lock(opened)
        return None if is_ours is None else not is_ours
    finally:
        os.close(opened)


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
