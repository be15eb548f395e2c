"""A merge of a petabyte, by simulation: jobs of an array on a cluster, with constants that are measured here.

Usage: ``python -m benches.simulate [--check] [--workers N ...] [--layer-bytes B] [--file-bytes B] …``.

What a task costs is measured by merges on the local disk: seconds to start, for each file, for each byte that is copied
and for each that is computed, and of the commit. ``--check`` compares what the model makes of them with three other
merges. What a cluster adds are options: waiting in a queue, bandwidth and metadata operations of a store, jobs that are
killed.
"""

from __future__ import annotations

import argparse
import heapq
import os
import sys
import tempfile
from dataclasses import dataclass, fields, replace
from operator import itemgetter
from pathlib import Path

import numpy as np

from benches.simulate_runs import Load, Run, real_run, remove_targets

# Calls that a copied file takes of the store: look it up, open it, make a draft, rename it, note it, close all.
OPERATIONS_PER_FILE = 8
MERGES_TO_CALIBRATE = (
    Load(1000, 1 << 14),
    Load(8000, 1 << 14),
    Load(3000, 1 << 14, touched_one_in=2),
    Load(60, 8 << 20),
    Load(60, 8 << 20, touched_one_in=2),
)
MERGES_TO_CHECK = (
    Load(4000, 1 << 17, touched_one_in=10),
    Load(600, 1 << 20, touched_one_in=10),
    Load(100, 8 << 20, touched_one_in=5),
)
TOLERATED = 0.2


@dataclass(frozen=True)
class Constants:
    """What a worker needs, in seconds."""

    start: float
    task: float
    file: float
    computed_file: float
    copied_byte: float
    computed_byte: float
    commit_file: float
    plan_file: float

    def work(self, load: Load) -> float:
        """Seconds that one worker alone has to do."""
        whole = (load.files - load.touched) * self.file + load.touched * self.computed_file
        return whole + load.copied * self.copied_byte + load.computed * self.computed_byte


@dataclass(frozen=True)
class Cluster:
    """Who works, and what that costs besides. Times in seconds, rates per second."""

    workers: int = 1000
    # Until a slot of the array is given, once; and from the end of a task to the start of the next in its slot.
    queue_wait: float = 600.0
    dispatch: float = 2.0
    # Of the store, for all workers together.
    bandwidth: float = float("inf")
    operations: float = float("inf")
    latency: float = 0.0
    # Of one worker, network and store: it reads and writes at it.
    worker_bandwidth: float = float("inf")
    # Hours that a worker runs before it is killed, on average.
    hours_to_failure: float = float("inf")
    task_seconds: float = 300.0


@dataclass(frozen=True)
class Forecast:
    """Seconds by phase of one merge, and the part of it that so many workers would need if each had all for itself."""

    plan: float
    run: float
    commit: float
    tasks: int
    killed: int
    efficiency: float
    bound: str

    @property
    def total(self) -> float:
        """Seconds from the first call to the end of the commit."""
        return self.plan + self.run + self.commit


def seconds_per_file(load: Load, cluster: Cluster, constants: Constants) -> tuple[float, float, str]:
    """Return how long a worker has a file alone, how long while all are at it, and what that is bound by."""
    moved = 2 * load.bytes / load.files  # read, and written
    own = constants.work(load) / load.files + OPERATIONS_PER_FILE * cluster.latency
    bounds = {
        "the worker": max(own, moved / cluster.worker_bandwidth + OPERATIONS_PER_FILE * cluster.latency),
        "the store's bandwidth": moved * cluster.workers / cluster.bandwidth,
        "the store's metadata operations": OPERATIONS_PER_FILE * cluster.workers / cluster.operations,
    }
    bound = max(bounds, key=bounds.__getitem__)
    return bounds["the worker"], bounds[bound], bound


def forecast(
    load: Load, cluster: Cluster, constants: Constants, *, tasks: int | None = None, seed: int = 0
) -> Forecast:
    """Return what a merge takes: slots that come free are given tasks of an array, and what killed ones left."""
    alone, each, bound = seconds_per_file(load, cluster, constants)
    if tasks is None:
        tasks = max(1, min(load.files, round(load.files * each / cluster.task_seconds)))
    draw = np.random.default_rng(seed)
    shares = np.full(tasks, load.files // tasks)
    shares[: load.files % tasks] += 1
    open_shares = [int(share) for share in shares[::-1]]
    waits = draw.exponential(cluster.queue_wait, cluster.workers) if cluster.queue_wait else np.zeros(cluster.workers)
    slots = [float(wait) for wait in waits]
    heapq.heapify(slots)
    end, killed = 0.0, 0
    while open_shares:
        free, share = heapq.heappop(slots), open_shares.pop()
        begun = free + cluster.dispatch + constants.start + constants.task
        life = draw.exponential(cluster.hours_to_failure * 3600) if np.isfinite(cluster.hours_to_failure) else np.inf
        # What was done before a kill stays done; the file under way is begun anew.
        done = share if life >= share * each else int(life / each)
        if done < share:
            killed += 1
            open_shares.insert(0, share - done)
        until = begun + min(life, share * each)
        end = max(end, until)
        heapq.heappush(slots, until)
    plan, commit = constants.plan_file * load.files, constants.start + constants.commit_file * load.files
    ideal = load.files * alone / cluster.workers
    return Forecast(plan, end, commit, tasks, killed, ideal / (plan + end + commit), bound)


def best_run(folder: Path, load: Load, workers: int, repeats: int) -> Run:
    """Return the quickest of several runs of a merge, phase by phase: other processes only ever add to it."""
    runs = [real_run(folder, load, workers, tasks=2 * workers) for _ in range(repeats)]
    return Run(*(min(getattr(run, field.name) for run in runs) for field in fields(Run)))


def calibrate(folder: Path, workers: int, repeats: int) -> Constants:
    """Return the constants of this machine with so many workers, by least squares over merges of several kinds."""
    runs = [best_run(folder, load, workers, repeats) for load in MERGES_TO_CALIBRATE]
    start = float(np.median([run.start for run in runs]))
    # each worker has two tasks, one after the other
    tasks = 2 * workers
    parts = [
        [tasks, load.files - load.touched, load.touched, load.copied, load.computed] for load in MERGES_TO_CALIBRATE
    ]
    seconds = np.array([max(1e-3, run.run - 2 * start) * workers for run in runs])
    # small merges count as much as large ones
    task, file, computed_file, copied, computed = _not_negative(
        np.array(parts, dtype=float) / seconds[:, None], np.ones(len(runs))
    )
    files, most = max(zip((load.files for load in MERGES_TO_CALIBRATE), runs, strict=True), key=itemgetter(0))
    alone = most.commit_alone / files
    return Constants(start, task, file, computed_file, copied, computed, alone, most.plan / files)


def _not_negative(rows: np.ndarray, values: np.ndarray) -> list[float]:
    """Return the least squares without a negative one: columns that would be so are left out, the worst first."""
    columns = list(range(rows.shape[1]))
    found = np.zeros(rows.shape[1])
    while columns:
        part = np.linalg.lstsq(rows[:, columns], values, rcond=None)[0]
        if part.min() >= 0:
            found[columns] = part
            break
        columns.pop(int(part.argmin()))
    return [float(one) for one in found]


def check(folder: Path, workers: int, repeats: int, constants: Constants) -> list[str]:
    """Return a table of three merges: what the model says of them, and what they took."""
    lines = ["| files | of | touched | predicted | measured | off by | load |", "|---" * 7 + "|"]
    here = Cluster(workers=workers, queue_wait=0, dispatch=0)
    for load in MERGES_TO_CHECK:
        said = forecast(load, here, constants, tasks=2 * workers)
        run = best_run(folder, load, workers, repeats)
        predicted, measured = said.run + said.commit, run.run + run.commit
        off = predicted / measured - 1
        verdict = "" if abs(off) <= TOLERATED else " (more than tolerated)"
        lines.append(
            f"| {load.files:,} | {load.file_bytes / 1e6:.2g} MB | {load.touched} | {predicted:.2f} s "
            f"| {measured:.2f} s | {off:+.0%}{verdict} | {os.getloadavg()[0]:.1f} |"
        )
    return lines


def sweep(load: Load, cluster: Cluster, constants: Constants, workers: list[int]) -> list[str]:
    """Return a table of the same merge by more and more workers."""
    lines = ["| workers | tasks | plan | run | commit | killed | efficiency | bound by |", "|---" * 8 + "|"]
    for count in workers:
        said = forecast(load, replace(cluster, workers=count), constants)
        lines.append(
            f"| {count:,} | {said.tasks:,} | {said.plan:.0f} s | {said.run / 3600:.2f} h | {said.commit:.0f} s "
            f"| {said.killed:,} | {said.efficiency:.0%} | {said.bound} |"
        )
    return lines


def serial(load: Load, cluster: Cluster, constants: Constants) -> list[str]:
    """Return a table of the parts that no worker shares, for files of several sizes."""
    lines = ["| file | files | plan | commit | both, of the run | efficiency | run bound by |", "|---" * 7 + "|"]
    for size in (1 << 30, 1 << 27, 1 << 24, 1 << 21):
        other = Load(max(1, load.bytes // size), size, load.touched_one_in)
        said = forecast(other, cluster, constants)
        alone = (said.plan + said.commit) / said.run
        lines.append(
            f"| {size >> 20} MiB | {other.files:,} | {said.plan:,.0f} s | {said.commit:,.0f} s | {alone:.1%} "
            f"| {said.efficiency:.0%} | {said.bound} |"
        )
    return lines


def say(*lines: str) -> None:
    """Print a paragraph."""
    sys.stdout.write("\n".join(lines) + "\n\n")


CLUSTER = Cluster(bandwidth=400e9, operations=50e3, latency=1e-3, worker_bandwidth=200e6, hours_to_failure=100.0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benches.simulate", description=__doc__)
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "wkfast-simulate"))
    parser.add_argument("--local-workers", type=int, default=2, help="processes of the merges that are run here")
    parser.add_argument("--repeats", type=int, default=2, help="of each of these, the quickest counts")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--sweep", type=int, nargs="+", default=[10, 100, 1000, 3000, 10_000], help="workers")
    parser.add_argument("--layer-bytes", type=float, default=1e15)
    parser.add_argument("--file-bytes", type=int, default=1 << 30)
    parser.add_argument("--touched-one-in", type=int, default=100)
    for field in fields(Cluster):
        default = getattr(CLUSTER, field.name)
        parser.add_argument(f"--{field.name.replace('_', '-')}", type=type(default), default=default)
    for field in fields(Constants):
        parser.add_argument(f"--measured-{field.name.replace('_', '-')}", type=float, help="instead of a measurement")
    return parser.parse_args()


def main() -> None:
    """Measure, check if asked to, and print what the model says of the layer."""
    options = _options()
    folder = Path(options.folder)
    given = {field.name: getattr(options, f"measured_{field.name}") for field in fields(Constants)}
    if None in given.values():
        measured = calibrate(folder, options.local_workers, options.repeats)
        given = {name: getattr(measured, name) if value is None else value for name, value in given.items()}
    constants = Constants(**given)
    say(f"constants at load {os.getloadavg()[0]:.1f}: {constants}")
    if options.check:
        say(*check(folder, options.local_workers, options.repeats, constants))
    remove_targets(folder)
    files = round(options.layer_bytes / options.file_bytes)
    layer = Load(files, options.file_bytes, options.touched_one_in)
    cluster = Cluster(**{field.name: getattr(options, field.name) for field in fields(Cluster)})
    say(*sweep(layer, cluster, constants, options.sweep))
    say(*serial(layer, cluster, constants))


if __name__ == "__main__":
    main()
