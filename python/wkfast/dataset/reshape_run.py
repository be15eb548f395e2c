"""Making one mag out of another: what the core is told, where it runs, and how the result is put in place."""

from __future__ import annotations

import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

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


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """Yield a folder beside `folder` that takes its place when the block ends well, and goes away when it does not.

    Whoever looks at `folder` finds what was there, or all of the new: they change places in one step. What a killed
    process left beside it is removed first.
    """
    draft = folder.with_name(f".{folder.name}.wkfast-part")
    remove_folder(draft)
    draft.mkdir(parents=True)
    try:
        yield draft
        _core.exchange_folders(str(draft), str(folder))
    finally:
        with suppress(OSError):
            remove_folder(draft)


def remove_folder(folder: Path) -> None:
    """Delete a folder with all in it; of a link, the link alone. Nothing happens where there is none."""
    if folder.is_symlink():
        folder.unlink()
    elif folder.is_dir():
        shutil.rmtree(folder)
