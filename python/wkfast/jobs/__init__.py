"""One engine for work on somebody else's workers: processes, a dask cluster, jobs of Slurm or Kubernetes.

Work is a number of tasks behind one picklable object. It is cut into batches of about equal cost, a batch is a job of
the executor, and workers need to see the same files, nothing else. Merging, resampling, copying and verifying all go
this way.
"""

from typing import TYPE_CHECKING

from wkfast._lazy import lazy_names

if TYPE_CHECKING:
    from wkfast.jobs.batches import ranges, worker_count
    from wkfast.jobs.engine import OverItems, Tally, Watch, Work, over_items, run_batch, run_jobs
    from wkfast.jobs.memory import warn_if_scarce
    from wkfast.jobs.signals import stop_on_signals
else:
    # Who looks after signals alone needs no executors.
    __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "wkfast.jobs.batches": ["ranges", "worker_count"],
            "wkfast.jobs.engine": ["OverItems", "Tally", "Watch", "Work", "over_items", "run_batch", "run_jobs"],
            "wkfast.jobs.memory": ["warn_if_scarce"],
            "wkfast.jobs.signals": ["stop_on_signals"],
        },
    )

__all__ = [
    "OverItems",
    "Tally",
    "Watch",
    "Work",
    "over_items",
    "ranges",
    "run_batch",
    "run_jobs",
    "stop_on_signals",
    "warn_if_scarce",
    "worker_count",
]
