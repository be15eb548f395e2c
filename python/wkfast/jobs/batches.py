"""How many tasks make a job: by what they cost, and by how many workers there are."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

# Less than this is not worth a job: about a second of a slow disk.
LEAST_BYTES_PER_JOB = 64 * 2**20
# Jobs differ in length; with a few for each worker none waits long for the last.
JOBS_PER_WORKER = 4
# For executors that do not tell how many workers they have.
WORKERS_UNKNOWN = 8


def ranges(costs: Sequence[int], workers: int) -> list[tuple[int, int]]:
    """Cut tasks into ranges of about equal cost, a few for each worker, none too small to be worth a job.

    Tasks that cost nothing because they are done ride along with their neighbours.

    Examples
    --------
    >>> gigabyte = 10**9
    >>> ranges([gigabyte] * 8, workers=1)
    [(0, 2), (2, 4), (4, 6), (6, 8)]
    >>> ranges([1000] * 500, workers=2)
    [(0, 500)]
    >>> ranges([0, 0, 0], workers=2)
    []
    """
    enough = max(LEAST_BYTES_PER_JOB, -(-sum(costs) // (workers * JOBS_PER_WORKER)))
    cuts, gathered = [0], 0
    for task, cost in enumerate(costs):
        gathered += cost
        if gathered >= enough:
            cuts.append(task + 1)
            gathered = 0
    if gathered:
        cuts.append(len(costs))
    return list(pairwise(cuts))


def worker_count(executor: Any) -> int:
    """Return how many jobs an executor runs at once, as far as it tells."""
    told = offered(executor, "_max_workers")  # of concurrent.futures and of what derives from it
    if isinstance(told, int) and told > 0:
        return told
    threads = offered(offered(executor, "_client"), "nthreads")  # of dask.distributed
    if callable(threads):
        count: int = sum(threads().values())
        return max(1, count)
    return WORKERS_UNKNOWN


def offered(thing: Any, name: str) -> Any:
    """Return what an executor or a future has of that name, ``None`` where it has nothing or will not say."""
    try:
        return getattr(thing, name, None)
    except Exception:  # noqa: BLE001 - properties of other people's classes raise what they like
        return None
