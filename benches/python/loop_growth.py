"""How loops grow with nodes, trees and chunks: time of each, and the exponents between sizes.

Usage: ``python -m benches.python.loop_growth [--sizes N ...] [--runs N]``. Ten million nodes take up to 6 GB.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import sys

from benches.python import loop_growth_jobs
from benches.python.loop_growth_jobs import MOST_TREES, OF_NODES, OF_TREES
from benches.python.measure import best_of

JOBS = "benches.python.loop_growth_jobs"


def main() -> None:
    """Measure every loop at every size and print the table."""
    parser = argparse.ArgumentParser(prog="benches.python.loop_growth", description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 100_000, 10_000_000])
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    lines = ["| loop | " + " | ".join(f"{size:,}" for size in options.sizes) + " | exponents |"]
    lines.append("|---" * (len(options.sizes) + 2) + "|")
    for loop in (*OF_NODES, *OF_TREES):
        most = MOST_TREES if loop in OF_TREES else max(options.sizes)
        line = row(loop, sorted({min(size, most) for size in options.sizes}), options.runs)
        sys.stderr.write(f"{line} at load {os.getloadavg()[0]:.1f}\n")
        lines.append(line)
    sys.stdout.write("\n".join(lines) + "\n")


def row(loop: str, sizes: list[int], runs: int) -> str:
    """Return what an element costs at each size, and with which power of the size the loop grows."""
    seconds = {size: best_of(runs, JOBS, loop, str(size)).seconds for size in sizes}
    each = [f"{taken / size * 1e9:,.0f} ns ({size:,})" for size, taken in seconds.items()]
    powers = [
        math.log(seconds[many] / seconds[few]) / math.log(many / few) for few, many in itertools.pairwise(seconds)
    ]
    what = (getattr(loop_growth_jobs, loop).__doc__ or loop).rstrip(".")
    return f"| {what} | " + " | ".join(each) + " | " + ", ".join(f"{power:.2f}" for power in powers) + " |"


if __name__ == "__main__":
    main()
