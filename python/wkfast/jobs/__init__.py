"""One engine for work on somebody else's workers: processes, a dask cluster, jobs of Slurm or Kubernetes.

Work is a number of tasks behind one picklable object. It is cut into batches of about equal cost, a batch is a job of
the executor, and workers need to see the same files, nothing else. Merging, resampling, copying and verifying all go
this way.
"""

from wkfast.jobs.batches import ranges, worker_count
from wkfast.jobs.engine import Tally, Watch, Work, run_batch, run_jobs

__all__ = ["Tally", "Watch", "Work", "ranges", "run_batch", "run_jobs", "worker_count"]
