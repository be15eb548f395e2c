"""Making one mag out of another: what the core is told, and who does it."""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wkfast import _core
from wkfast.jobs import Tally, Watch, run_jobs

if TYPE_CHECKING:
    from wkfast.progress import Observer

Json = dict[str, Any]


def run_reshape(spec: Json, executor: Any = None, observer: Observer | None = None) -> None:
    """Write all files of a mag: on the core's threads, or by the jobs of a ``concurrent.futures`` executor.

    Parameters
    ----------
    spec
        See ``_core.Reshape``: plain data, so workers need the same paths, nothing else.
    observer
        Called with files done and in all, and with bytes of voxels done and in all.
    """
    if executor is None:
        _core.Reshape(spec).run(progress=observer)
        return
    work = ReshapeWork(json.dumps(spec), uuid.uuid4().hex)
    try:
        job = work.opened()
        run_jobs(executor, work, Tally([job.shard_bytes] * job.shard_count, observer))
    finally:
        _opened.cache_clear()


@dataclass(frozen=True)
class ReshapeWork:
    """A mag to be written, as jobs get it: what is to be done, and of which call it is part."""

    spec: str
    call: str

    def run(self, first: int, end: int, threads: int | None) -> Json:
        """Write some of the files; a worker opens and lists the mags for its first job and keeps them for others."""
        target = json.loads(self.spec)["target"]
        folder = Path(target["container"]["path"]) / target["prefix"]
        return self.opened().run((first, end), threads=threads, progress=Watch(str(folder), "the new mag"))

    def opened(self) -> _core.Reshape:
        """Return both mags, open."""
        return _opened(self.spec, self.call)


@lru_cache(maxsize=1)
def _opened(spec: str, call: str) -> _core.Reshape:  # noqa: ARG001 - by the next call the files are others
    return _core.Reshape(json.loads(spec))
