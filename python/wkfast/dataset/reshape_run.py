"""Making one mag out of another: what the core is told, where it runs, and how the result is put in place."""

from __future__ import annotations

from typing import Any

from wkfast import _core

Json = dict[str, Any]

# Files of the target that one task writes.
_SHARDS_PER_TASK = 8


def run_reshape(spec: Json, executor: Any = None, progress: Any = None) -> None:
    """Write all files of a mag: on the core's threads, or by the tasks of a ``concurrent.futures`` executor.

    Parameters
    ----------
    spec
        See ``_core.Reshape``: plain data, so workers need the same paths, nothing else.
    progress
        Called with files done and files in all.
    """
    job = _core.Reshape(spec)
    if executor is None:
        job.run(progress=progress)
        return
    ends = range(0, job.shard_count, _SHARDS_PER_TASK)
    tasks = [(start, min(start + _SHARDS_PER_TASK, job.shard_count)) for start in ends]
    futures = [executor.submit(_run_shards, spec, task) for task in tasks]
    try:
        for future, (_, end) in zip(futures, tasks, strict=True):
            future.result()
            if progress is not None:
                progress(end, job.shard_count)
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def _run_shards(spec: Json, shards: tuple[int, int]) -> Json:
    return _core.Reshape(spec).run(shards)
