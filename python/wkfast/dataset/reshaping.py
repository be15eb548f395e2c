"""Making one mag out of another: what the core is told, and who does it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.buckets import ObjectPath, remove_file
from wkfast.dataset.compiled import ChunkFunction
from wkfast.jobs import Tally, Watch, run_jobs, warn_if_scarce
from wkfast.progress import observed

if TYPE_CHECKING:
    from wkfast.progress import Observer, Progress

Json = dict[str, Any]


@dataclass(frozen=True)
class Workers:
    """Who makes mags, and who hears how far that is.

    Attributes
    ----------
    executor
        Of ``concurrent.futures``, or one like it; ``None`` for the core's threads.
    progress
        As everywhere: ``True`` for a bar, or what is called with files done and in all.
    what
        What is being done, e.g. ``downsampling``.
    function
        What makes the voxels, where the step is ``apply``.
    """

    executor: Any = None
    progress: Progress = None
    what: str = "copying"
    function: ChunkFunction | None = None

    def reshape(self, spec: Json, name: str) -> None:
        """Write all files of the mag that messages call `name`; see ``_core.Reshape``."""
        with observed(self.progress, f"{self.what} {name}") as observer:
            run_reshape(spec, self.executor, observer, self.function)


def run_reshape(
    spec: Json, executor: Any = None, observer: Observer | None = None, function: ChunkFunction | None = None
) -> None:
    """Write all files of a mag: on the core's threads, or by the jobs of a ``concurrent.futures`` executor.

    Parameters
    ----------
    spec
        See ``_core.Reshape``: plain data, so workers need the same paths, nothing else.
    observer
        Called with files done and in all, and with bytes of voxels done and in all.
    function
        What makes the voxels, where the step is ``apply``.
    """
    if executor is None:
        warn_if_scarce()
        _reshape(spec, function).run(progress=observer)
        return
    call = uuid.uuid4().hex
    ticket = _ticket(spec["target"], call)
    work = ReshapeWork(json.dumps(spec), call, ticket, None if function is None else function.packed())
    try:
        job = work.opened()
        tally = Tally([job.shard_bytes] * job.shard_count, observer)
        run_jobs(executor, work, tally, give_up=lambda: remove_file(ticket))
    finally:
        remove_file(ticket)
        _opened.cache_clear()


def _ticket(target: Json, call: str) -> Path | ObjectPath:
    """Make a file that says that the work is wanted, and return it.

    It lies in the new mag's folder, which may not be there any more when a job looks, or be that of another call.
    """
    container, name = target["container"], f"{target['prefix']}/.{call}.wkfast-ticket".lstrip("/")
    if container["kind"] == "objects":
        far = ObjectPath.of_container(container) / name
        far.write(b"")
        return far
    near = Path(container["path"]) / name
    near.touch()
    return near


@dataclass(frozen=True)
class ReshapeWork:
    """A mag to be written, as jobs get it: what is to be done, of which call it is part, and whether it is wanted."""

    spec: str
    call: str
    ticket: Path | ObjectPath
    function: bytes | None = None

    def run(self, first: int, end: int, threads: int | None) -> Json:
        """Write some of the files; a worker opens and lists the mags for its first job and keeps them for others."""
        watch = Watch(self.ticket, "the new mag")
        watch.look()
        return self.opened().run((first, end), threads=threads, progress=watch)

    def opened(self) -> _core.Reshape:
        """Return both mags, open."""
        return _opened(self.spec, self.call, self.function)


@lru_cache(maxsize=1)
def _opened(
    spec: str,
    call: str,  # noqa: ARG001 - by the next call the files are others
    function: bytes | None,
) -> _core.Reshape:
    return _reshape(json.loads(spec), None if function is None else ChunkFunction.unpacked(function))


def _reshape(spec: Json, function: ChunkFunction | None) -> _core.Reshape:
    return _core.Reshape(spec) if function is None else _core.Reshape(spec, function=function, address=function.address)
