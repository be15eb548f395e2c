"""What is done with the plan of a merge of tiny files, for `benches.python.plan_growth`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.python import plan_inputs
from wkfast import _core

if TYPE_CHECKING:
    from collections.abc import Callable

PLAN = "merge.plan"
TASKS = 1000


def plan(folder: str, files: str) -> Callable[[], int]:
    """Decide and write the plan file; the result is its size."""
    told = plan_inputs.make(Path(folder), int(files))

    def work() -> int:
        content = _core.MergePlan(told).to_bytes("{}")
        return (Path(folder) / PLAN).write_bytes(content)

    return work


def start(folder: str) -> Callable[[], int]:
    """Open the plan, find a share of a thousand and do its first file, as a task of an array begins."""

    def work() -> int:
        merge = _opened(folder)
        first, end = merge.share(0, TASKS // 2, TASKS)
        merge.run((first, min(end, first + 1)), threads=1, access="shared")
        return end - first

    return work


def run(folder: str) -> Callable[[], int]:
    """Do all shares but one, as many tasks would; the result is how many files they have."""

    def work() -> int:
        merge = _opened(folder)
        shares = [merge.share(0, task, TASKS) for task in range(TASKS) if task != TASKS // 2]
        return sum(merge.run(tasks, threads=2, access="shared")["tasks"] for tasks in shares if tasks[0] < tasks[1])

    return work


def finish(folder: str) -> Callable[[], int]:
    """Do the share that is left, as the task that begins last."""

    def work() -> int:
        merge = _opened(folder)
        return int(merge.run(merge.share(0, TASKS // 2, TASKS), threads=2, access="shared")["tasks"])

    return work


def left(folder: str) -> Callable[[], int]:
    """Count what nobody has done, as a task of an array ends."""
    return lambda: _opened(folder).count_open()


def status(folder: str) -> Callable[[], int]:
    """Look at a target in which every file is done."""
    return lambda: int(_status(folder)["tasks_done"])


def commit(folder: str) -> Callable[[], int]:
    """End the merge; the result is how many files it has."""
    return lambda: int(_opened(folder).commit()["total"]["shards_rewritten"])


def _opened(folder: str) -> _core.MergePlan:
    found = _core.MergePlan.open(folder, PLAN)
    if found is None:
        raise RuntimeError(f"there is no plan in {folder}")
    return found[0]


def _status(folder: str) -> dict[str, Any]:
    found = _core.merge_status(str(Path(folder) / "target"))
    if found is None:
        raise RuntimeError("nothing has begun")
    return found
