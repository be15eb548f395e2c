"""How loading and saving grow with the number of nodes: a table and a figure.

Usage: ``python -m benches.python.growth [--nodes N ...] [--figure docs/figures/nml-growth.svg]``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benches.python import figure, inputs
from benches.python.measure import best_of

NML = "benches.python.nml_jobs"


@dataclass(frozen=True)
class Point:
    """One size: seconds, and bytes kept per node."""

    nodes: int
    load: float
    save: float
    edit: float
    kept_per_node: float
    peak_over_baseline: int


def main() -> None:
    """Measure every size, print the table, write the figure."""
    parser = argparse.ArgumentParser(prog="benches.python.growth", description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[100_000, 300_000, 1_000_000, 2_000_000, 5_000_000])
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "wkfast-bench"))
    parser.add_argument("--figure", default="docs/figures/nml-growth.svg")
    options = parser.parse_args()
    points = [measure(Path(options.folder), nodes) for nodes in options.nodes]
    sys.stdout.write(table(points))
    path = Path(options.figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(points), encoding="utf-8")


def measure(folder: Path, nodes: int) -> Point:
    """Load, save, and load + edit one node + save a file of `nodes` nodes in a tree per 1,667 nodes."""
    path = str(inputs.nml(folder, nodes, trees=max(1, nodes // 1667)))
    saved = str(folder / "saved.nml")
    load = best_of(2, NML, "wkfast_load", path)
    save = best_of(2, NML, "wkfast_save", path, saved)
    edit = best_of(1, NML, "wkfast_edit", path, saved)
    kept = (load.rss_after - load.baseline_rss) / nodes
    return Point(nodes, load.seconds, save.seconds, edit.seconds, kept, edit.peak_over_baseline)


def table(points: list[Point]) -> str:
    """Return the points as a Markdown table."""
    lines = [
        "| nodes | load | save | load, edit one node, save | kept per node | peak over baseline |",
        "|---" * 6 + "|",
    ]
    lines += [
        f"| {p.nodes:,} | {p.load:.3f} s | {p.save:.3f} s | {p.edit:.3f} s | {p.kept_per_node:.0f} B "
        f"| {p.peak_over_baseline / 1e6:.0f} MB |"
        for p in points
    ]
    return "\n".join(lines) + "\n"


def draw(points: list[Point]) -> str:
    """Return an SVG of seconds over nodes: linear growth has the slope of the grey line."""
    series = {
        "load": [(p.nodes, p.load) for p in points],
        "save": [(p.nodes, p.save) for p in points],
        "load, edit, save": [(p.nodes, p.edit) for p in points],
    }
    return figure.draw(series, f"nodes; {os.cpu_count()} cores", lambda decade: f"{10**decade:,}", linear=True)


if __name__ == "__main__":
    main()
