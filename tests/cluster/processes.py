"""Commands that run beside a test, and the jobs of Slurm that they hand in."""

import os
import signal
import subprocess
import time
from contextlib import contextmanager

from tests.cluster.slurm_jobs import LONGEST_SECONDS, run


@contextmanager
def started(folder, command, **variables):
    """A process that writes to ``said.log``; ended if it is still there."""
    with (folder / "said.log").open("ab") as said:
        process = subprocess.Popen(
            command, cwd=folder, stdout=said, stderr=said, env={**os.environ, **variables}, start_new_session=True
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(timeout=LONGEST_SECONDS)


def ended(process):
    return process.wait(timeout=LONGEST_SECONDS)


def look_for(found, process):
    end = time.monotonic() + LONGEST_SECONDS
    while not (result := found()):
        assert process.poll() is None, "it ended before it was looked for"
        assert time.monotonic() < end
        time.sleep(0.1)
    return result


def running_jobs(folder):
    """Jobs of Slurm that were handed in from a folder or below."""
    jobs = [line.split(" ", 1) for line in run("squeue", "-h", "-t", "R", "-o", "%i %Z").splitlines()]
    return [job for job, place in jobs if place.startswith(str(folder))]
