"""One job in a process of its own: seconds, memory and a fingerprint of its result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Measurement:
    """What one run of a job cost. Memory in bytes."""

    seconds: float
    peak_rss: int
    baseline_rss: int
    rss_after: int
    result: str

    @property
    def peak_over_baseline(self) -> int:
        """Memory beyond what the process had before the job, imports included."""
        return self.peak_rss - self.baseline_rss


def run_job(module: str, job: str, *arguments: str) -> Measurement:
    """Run ``module.job(*arguments)`` in a fresh process of this interpreter."""
    command = [sys.executable, "-W", "ignore", "-m", "benches.python.measure", module, job, *arguments]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, cwd=root, text=True)
    return Measurement(**json.loads(done.stdout.splitlines()[-1]))


def best_of(runs: int, module: str, job: str, *arguments: str) -> Measurement:
    """Return the quickest of several runs; all must give the same result."""
    (best,) = in_turn(runs, (module, job, *arguments))
    return best


def in_turn(runs: int, *jobs: tuple[str, ...]) -> list[Measurement]:
    """Return the quickest run of each job, run in turn, so that a machine that changes its speed does so for all."""
    rounds = [[run_job(*job) for job in jobs] for _ in range(runs)]
    return [_best(job, list(measurements)) for job, measurements in zip(jobs, zip(*rounds, strict=True), strict=True)]


def _best(job: tuple[str, ...], measurements: list[Measurement]) -> Measurement:
    results = {measurement.result for measurement in measurements}
    if len(results) != 1:
        raise RuntimeError(f"{job} gave different results: {results}")
    return min(measurements, key=lambda measurement: measurement.seconds)


def _memory(field: str) -> int:
    """Return a field of the process's status in bytes: VmRSS is what it has now, VmHWM the most it had."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


def _reset_peak() -> None:
    """Make VmHWM count from here."""
    Path("/proc/self/clear_refs").write_text("5")


def main() -> None:
    """Run the job named on the command line: ``prepare`` steps run before the clock starts."""
    module, job, *arguments = sys.argv[1:]
    jobs = __import__(module, fromlist=[job])
    work: Callable[[], object] = getattr(jobs, job)(*arguments)
    baseline = _memory("VmRSS")
    _reset_peak()
    start = time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    after, peak = _memory("VmRSS"), _memory("VmHWM")
    check = getattr(jobs, f"check_{job}", str)
    measured = Measurement(seconds, peak, baseline, after, check(result))
    sys.stdout.write(json.dumps(measured.__dict__) + "\n")
    sys.stdout.flush()
    os._exit(0)  # tearing down millions of the reference's objects takes as long as making them


if __name__ == "__main__":
    main()
