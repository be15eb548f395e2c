"""What a GET costs the client: processor time for each 32 kB chunk of a streamed read, alone and by 16 threads at once.

Usage: ``python -m benches.python.get_cost FOLDER [DELAY]``; the same with PYTHONPATH of another checkout compares two.
"""

from __future__ import annotations

import resource
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import wkfast as wk
from benches.python.remote_jobs import annotation, remote_layer, serving, sockets_stream
from benches.python.remote_server import EDGE, SIDE, VOLUME

if TYPE_CHECKING:
    from collections.abc import Callable

_CHUNKS = (EDGE // SIDE) ** 3
_WARM_UPS, _RUNS, _THREADS = 3, 15, 16
_ANNOTATION = 1 << 20


def _spent() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def measured(work: Callable[[], Any]) -> tuple[float, float, float]:
    """Return the least and the middle of the seconds that `work` takes, and its processor time, of several runs."""
    for _ in range(_WARM_UPS):
        work()
    begun, seconds = _spent(), []
    for _ in range(_RUNS):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return min(seconds), float(np.median(seconds)), (_spent() - begun) / _RUNS


def by_threads(mag: Any) -> Callable[[], Any]:
    """Return what reads all chunks by several threads, each a part of its own."""
    edge = EDGE // 4
    places = [(x, y, 0) for x in range(0, EDGE, edge) for y in range(0, EDGE, edge)]
    threads = ThreadPoolExecutor(_THREADS)
    return lambda: list(threads.map(lambda at: mag.read(absolute_offset=at, size=(edge, edge, EDGE)), places))


def main() -> None:
    """Print a line for each way to read."""
    folder, delay = Path(sys.argv[1]), float((*sys.argv[2:], "0")[0])
    with serving(annotation(folder, _ANNOTATION), delay) as url:
        mag = remote_layer(wk, url, VOLUME).get_mag(1)
        ways = {
            "one read": lambda: mag.read(absolute_offset=(0, 0, 0), size=(EDGE, EDGE, EDGE)),
            f"{_THREADS} threads": by_threads(mag),
            "bare sockets": sockets_stream(url, VOLUME),
        }
        for name, work in ways.items():
            least, middle, spent = measured(work)
            each = spent / _CHUNKS * 1e6
            sys.stdout.write(f"{name}: {each:.0f} µs a GET; 256³ in {least * 1e3:.1f} ms, {middle * 1e3:.1f} middle\n")


if __name__ == "__main__":
    main()
