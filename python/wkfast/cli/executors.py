"""``--distribution-strategy``: who does the work of a merge."""

from __future__ import annotations

import json
import os
import signal
from contextlib import contextmanager
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from wkfast._lazy import lazy_import
from wkfast.cli.arguments import UsageError
from wkfast.errors import WkfastError

if TYPE_CHECKING:
    import concurrent.futures as cf
    import multiprocessing
    from collections.abc import Iterator
else:
    cf = lazy_import("concurrent.futures")
    multiprocessing = lazy_import("multiprocessing")

cluster_tools: Any = lazy_import("cluster_tools")
distributed: Any = lazy_import("distributed")


class Strategy(StrEnum):
    """Who does the work."""

    THREADS = "threads"
    MULTIPROCESSING = "multiprocessing"
    DASK = "dask"
    SLURM = "slurm"
    KUBERNETES = "kubernetes"
    SEQUENTIAL = "sequential"


class MissingLibraryError(WkfastError, RuntimeError):
    """A strategy needs a library that is not installed."""


@contextmanager
def executor_for(strategy: Strategy, jobs: int | None, job_resources: dict[str, Any]) -> Iterator[Any]:
    """Yield the executor of a strategy, ``None`` for the core's own threads; jobs that wait are dropped on an error.

    Raises
    ------
    MissingLibraryError
        What the strategy needs is not installed.
    """
    try:
        if strategy in {Strategy.THREADS, Strategy.SEQUENTIAL}:
            yield None
        elif strategy is Strategy.MULTIPROCESSING:
            with _processes(jobs) as executor:
                yield executor
        elif strategy is Strategy.DASK:
            with _dask(jobs, job_resources) as executor:
                yield executor
        else:
            with cluster_tools.get_executor(strategy.value, job_resources=job_resources) as executor:
                yield executor
    except ModuleNotFoundError as error:
        extra = "dask" if strategy is Strategy.DASK else "cluster"
        raise MissingLibraryError(
            f"--distribution-strategy {strategy.value} needs {error.name}: pip install 'wkfast[{extra}]'"
        ) from error


@contextmanager
def _processes(jobs: int | None) -> Iterator[cf.Executor]:
    spawn = multiprocessing.get_context("spawn")
    executor = cf.ProcessPoolExecutor(jobs or os.cpu_count(), mp_context=spawn, initializer=leave_signals)
    try:
        yield executor
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    executor.shutdown()


def leave_signals() -> None:
    """Let the parent decide what Ctrl-C and a scheduler's announcement mean: they reach every process of a job."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)


@contextmanager
def _dask(jobs: int | None, job_resources: dict[str, Any]) -> Iterator[Any]:
    """Yield the executor of the cluster at ``address`` or ``DASK_ADDRESS``, else of one on this machine."""
    resources = dict(job_resources)
    address = resources.pop("address", None) or os.environ.get("DASK_ADDRESS")
    if address:
        with distributed.Client(address) as client:
            yield client.get_executor(resources=resources or None)
        return
    workers = jobs or os.cpu_count()
    with (
        distributed.LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client.get_executor()


def parse_job_resources(text: str | None) -> dict[str, Any]:
    """Return what ``--job-resources`` says.

    Raises
    ------
    UsageError
        It is no JSON object.

    Examples
    --------
    >>> parse_job_resources('{"mem": "4G"}')
    {'mem': '4G'}
    """
    try:
        resources = json.loads(text or "{}")
    except ValueError:
        resources = None
    if not isinstance(resources, dict):
        raise UsageError(f'--job-resources: {text} is no JSON object, expected one such as {{"mem": "4G"}}')
    return resources
