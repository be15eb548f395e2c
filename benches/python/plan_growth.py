"""How plans of merges grow with files and painted chunks: seconds, memory, and the exponents between sizes.

Usage: ``python -m benches.python.plan_growth [--files N ...] [--folder DIR]``. A million files take 5 GB of DIR.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benches.python.measure import Measurement, run_job
from benches.python.plan_inputs import TOUCHED_CHUNKS, TOUCHED_ONE_IN
from benches.python.plan_jobs import PLAN

JOBS = "benches.python.plan_jobs"
# In the order of a merge; a start before anything is there, and one when nearly all is.
STEPS = ("plan", "start", "run", "start again", "finish", "left", "status", "commit")


def main() -> None:
    """Measure every size and print the tables."""
    parser = argparse.ArgumentParser(prog="benches.python.plan_growth", description=__doc__)
    parser.add_argument("--files", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "wkfast-plans"))
    options = parser.parse_args()
    folders = {files: Path(options.folder) / str(files) for files in options.files}
    sizes = {files: measure(folder, files) for files, folder in folders.items()}
    # Not before: ext4 makes files slowly beside many that were just removed.
    for folder in folders.values():
        shutil.rmtree(folder / "target")
    sys.stdout.write("\n".join([*table(sizes), "", *exponents(sizes)]) + "\n")


def measure(folder: Path, files: int) -> dict[str, Measurement]:
    """Return what each step of a merge of so many files took."""
    shutil.rmtree(folder / "target", ignore_errors=True)
    found = {}
    for step in STEPS:
        arguments = [str(folder), str(files)] if step == "plan" else [str(folder)]
        found[step] = run_job(JOBS, step.split()[0], *arguments)
        sys.stderr.write(f"{files:,} {step}: {found[step].seconds:.3f} s at load {os.getloadavg()[0]:.1f}\n")
    (folder / PLAN).unlink()
    return found


def table(sizes: dict[int, dict[str, Measurement]]) -> list[str]:
    """Return seconds and memory of each step by the number of files, as a Markdown table."""
    lines = ["| files | plan file, a file | " + " | ".join(STEPS) + " |", "|---" * (len(STEPS) + 2) + "|"]
    for files, steps in sizes.items():
        each = int(steps["plan"].result) / files
        cells = [f"{steps[step].seconds:.3f} s, {steps[step].peak_over_baseline / 1e6:.0f} MB" for step in STEPS]
        lines.append(f"| {files:,} | {each:.1f} B | " + " | ".join(cells) + " |")
    chunks = TOUCHED_CHUNKS // TOUCHED_ONE_IN
    return [
        *lines,
        "",
        f"Each file has {chunks} painted chunks on average, {TOUCHED_CHUNKS} in one of {TOUCHED_ONE_IN}.",
    ]


def exponents(sizes: dict[int, dict[str, Measurement]]) -> list[str]:
    """Return with which power of the number of files each step grows, from each size to the next."""
    lines = ["| from | to | " + " | ".join(STEPS) + " |", "|---" * (len(STEPS) + 2) + "|"]
    known = list(sizes.items())
    for (few, before), (many, after) in itertools.pairwise(known):
        growth = [math.log(after[step].seconds / before[step].seconds) / math.log(many / few) for step in STEPS]
        lines.append(f"| {few:,} | {many:,} | " + " | ".join(f"{power:.2f}" for power in growth) + " |")
    return lines


if __name__ == "__main__":
    main()
