"""How far a merge is and who is at it, told by what lies in its target."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import any_path, core_folder
from wkfast.errors import MergeError
from wkfast.merge.report import PROVENANCE_FILE, is_dataset, provenance_of

if TYPE_CHECKING:
    from os import PathLike
    from pathlib import Path

    from wkfast.buckets import ObjectPath


# How long a process that is not known to have ended may be silent: a minute, and the time of so many of its files.
_LEAST_SECONDS_TO_STALE = 60
_FILES_TO_STALE = 10


class MergeState(StrEnum):
    """What a merge is at."""

    AT_WORK = "at work"
    STOPPED = "stopped"
    COMMITTED = "committed"


@dataclass(frozen=True)
class MergeWorker:
    """What one process has done.

    Attributes
    ----------
    host, process
        Who that is.
    files
        Files of the result that it wrote.
    bytes
        Bytes it got through.
    last
        When it ended its last file, in seconds since 1970 by its clock; ``None`` without any.
    gone
        Whether it is known to have ended: one of this machine that there is no more.
    stale
        Whether somebody is at work and this process, not known to have ended, has not ended a file for ten times as
        long as its files took, and a minute: it hangs, its machine died, or its share is done.
    """

    host: str
    process: int
    files: int
    bytes: int
    last: float | None
    gone: bool
    stale: bool = False


@dataclass(frozen=True)
class MergeStatus:
    """A merge at one moment.

    Attributes
    ----------
    target
        Where the result lies.
    state
        Whether somebody is at work, nobody is, or it is done.
    files, files_done
        Of the result.
    bytes, bytes_done
        To get through: what is copied, and voxels that are computed; of a committed merge what was read.
    seconds
        From the first file's begin to the last one's end, pauses included.
    workers
        Every process that wrote a file, those that did most first.
    failures
        Why files could not be written, those that others wrote since left out.
    """

    target: Path | ObjectPath
    state: MergeState
    files: int
    files_done: int
    bytes: int
    bytes_done: int
    seconds: float
    workers: tuple[MergeWorker, ...]
    failures: tuple[str, ...]

    @property
    def bytes_per_second(self) -> float | None:
        """Rate so far; ``None`` before the first file."""
        return self.bytes_done / self.seconds if self.seconds > 0 else None

    @property
    def seconds_left(self) -> float | None:
        """About how long it takes at that rate; ``None`` where nobody is at work."""
        rate = self.bytes_per_second
        return (self.bytes - self.bytes_done) / rate if rate and self.state is MergeState.AT_WORK else None

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        rates = {"bytes_per_second": self.bytes_per_second, "seconds_left": self.seconds_left}
        return {**asdict(self), "target": str(self.target), "state": self.state.value, **rates}


def merge_status(target: str | PathLike[str] | ObjectPath) -> MergeStatus:
    """Return how far the merge into `target` is, who is at it, and what went wrong; nothing is written.

    Raises
    ------
    MergeError
        There is no merge, begun or done.
    VolumeDataError
        What it left cannot be read.

    Examples
    --------
    >>> status = merge_status("merged")  # doctest: +SKIP
    >>> status.files_done, status.files  # doctest: +SKIP
    (37, 66)
    """
    folder = any_path(target, "the target of a merge")
    facts = _core.merge_status(core_folder(folder))
    return _committed(folder) if facts is None else _under_way(folder, facts)


def _under_way(target: Path | ObjectPath, facts: dict[str, Any]) -> MergeStatus:
    spans = [worker["span"] for worker in facts["workers"] if worker["span"]]
    now = time.time() if facts["busy"] else None
    end = max((span[1] for span in spans), default=0.0) if now is None else now
    return MergeStatus(
        target=target,
        state=MergeState.AT_WORK if facts["busy"] else MergeState.STOPPED,
        files=facts["tasks"],
        files_done=facts["tasks_done"],
        bytes=facts["bytes"],
        bytes_done=facts["bytes_done"],
        seconds=max(0.0, end - min((span[0] for span in spans), default=end)),
        workers=tuple(_worker(worker, now) for worker in facts["workers"]),
        failures=tuple(f"file {failure['task']}: {failure['failed']}" for failure in facts["failures"]),
    )


def _worker(facts: dict[str, Any], now: float | None) -> MergeWorker:
    first, last = facts["span"] or (None, None)
    stale = False
    if now is not None and last is not None and not facts["gone"]:
        stale = now - last > max(_LEAST_SECONDS_TO_STALE, _FILES_TO_STALE * (last - first) / facts["tasks"])
    return MergeWorker(facts["host"], facts["process"], facts["tasks"], facts["bytes"], last, facts["gone"], stale)


def _committed(target: Path | ObjectPath) -> MergeStatus:
    written = provenance_of(target)
    if written is None:
        raise MergeError(f"there is no merge into {target}, neither begun nor done")
    try:
        total, seconds = written["report"]["total"], written["report"]["seconds"]
        files, done = total["shards_copied"] + total["shards_rewritten"], total["bytes_read"]
        # Between the two files the target is no dataset: the call that was killed there ends it.
        state = MergeState.COMMITTED if is_dataset(target) else MergeState.STOPPED
        return MergeStatus(target, state, files, files, done, done, seconds["run"], (), ())
    except (KeyError, TypeError) as error:
        raise MergeError(f"{target / PROVENANCE_FILE}: no report of a merge ({error!r})") from error
