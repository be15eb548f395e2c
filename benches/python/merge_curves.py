"""How a merge grows with what it touches and copies, and how near transcoding comes to the codecs alone.

Usage: ``python -m benches.python.merge_curves [--edges N ...] [--format F] [--figure FILE] [--inputs-only]``. All
shards of a layer are alike, so that large ones are generated quickly.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benches.python import figure, volumes
from benches.python.measure import Measurement, best_of

MERGE = "benches.python.merge_jobs"
FRACTIONS = (0.001, 0.01, 0.1, 1.0)
_CHUNK = 32
_TRANSCODED = 1024
# Seconds from which on a merge is run once.
_PATIENCE = 5.0
# The mag says level 5; integers are encoded with level 3's search, see docs/decisions.
_LEVELS = {5: "LZ4 and zstd 5", 3: "LZ4 and zstd 3"}


@dataclass(frozen=True)
class Point:
    """One merge: a layer of `edge`³ voxels, a part of its chunks touched."""

    edge: int
    fraction: float
    copied: int
    touched: int
    seconds: float
    peak_over_baseline: int

    @property
    def work(self) -> int:
        """Bytes of the fallback's files, and of the touched chunks' voxels."""
        return self.copied + self.touched


def main() -> None:
    """Measure, print the tables, write the figure."""
    parser = argparse.ArgumentParser(prog="benches.python.merge_curves", description=__doc__)
    parser.add_argument("--edges", type=int, nargs="+", default=[512, 1024, 2048])
    parser.add_argument("--format", choices=("wkw", "zarr3"), default="zarr3")
    parser.add_argument("--runs", type=int, default=3, help="runs of each merge that is quick, the best counts")
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "wkfast-bench"))
    parser.add_argument("--figure", default="docs/figures/merge-growth.svg")
    parser.add_argument("--inputs-only", action="store_true", help="generate what is not there yet, measure nothing")
    options = parser.parse_args()
    folder = Path(options.folder)
    cases = [(edge, fraction) for edge in options.edges for fraction in FRACTIONS]
    if options.inputs_only:
        for edge, fraction in cases:
            source(folder, options.format, edge, fraction)
        return
    points = [measure(folder, options.format, edge, fraction, options.runs) for edge, fraction in cases]
    sys.stdout.write(f"{os.cpu_count()} cores\n\n" + table(points))
    sys.stdout.write(transcoding(folder, _TRANSCODED, options.runs))
    path = Path(options.figure)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(points), encoding="utf-8")


def source(folder: Path, data_format: str, edge: int, fraction: float) -> volumes.VolumeInput:
    """Return a layer and an annotation that touches `fraction` of its chunks."""
    return volumes.volume(folder, data_format, edge, _chunks(edge, fraction), repeated=True)


def _chunks(edge: int, fraction: float) -> int:
    return max(1, round(fraction * (edge // _CHUNK) ** 3))


def measure(folder: Path, data_format: str, edge: int, fraction: float, runs: int) -> Point:
    """Merge an annotation that touches `fraction` of the chunks."""
    given = source(folder, data_format, edge, fraction)
    merged = merge(given, folder, runs)
    copied = sum(file.stat().st_size for file in given.fallback_mag.rglob("*") if file.is_file())
    touched = _chunks(edge, fraction) * _CHUNK**3 * 4
    return Point(edge, fraction, copied, touched, merged.seconds, merged.peak_over_baseline)


def merge(given: volumes.VolumeInput, folder: Path, runs: int) -> Measurement:
    """Return the best of several merges, of one alone if it takes long."""
    job = (MERGE, "unchecked_merge", str(given.annotation), str(given.datasets), str(folder / "merged"))
    first = best_of(1, *job)
    if runs == 1 or first.seconds > _PATIENCE:
        return first
    again = best_of(runs - 1, *job)
    seconds = min(first.seconds, again.seconds)
    return replace(again, seconds=seconds, peak_rss=max(first.peak_rss, again.peak_rss))


def transcoding(folder: Path, edge: int, runs: int) -> str:
    """Return a line about a merge that encodes every chunk anew, against the codecs alone on all cores."""
    given = source(folder, "zarr3", edge, 1.0)
    merged = merge(given, folder, runs)
    parts = [f"\nWKW over Zarr zstd, every chunk of {edge}³: {merged.seconds:.3f} s"]
    for level, what in _LEVELS.items():
        codecs = best_of(min(runs, 2), MERGE, "transcode_alone", str(given.annotation), str(level))
        parts.append(f"{codecs.seconds / merged.seconds:.0%} of the rate of {what} alone ({codecs.seconds:.3f} s)")
    return "; ".join(parts) + "\n"


def table(points: list[Point]) -> str:
    """Return the points as a Markdown table."""
    lines = ["| layer | touched | voxels touched | files | seconds | peak over baseline |", "|---" * 6 + "|"]
    lines += [
        f"| {p.edge}³ | {p.fraction:.1%} | {p.touched / 1e6:.1f} MB | {p.copied / 1e6:.1f} MB | {p.seconds:.3f} "
        f"| {p.peak_over_baseline / 1e6:.0f} MB |"
        for p in points
    ]
    return "\n".join(lines) + "\n"


def draw(points: list[Point]) -> str:
    """Return an SVG of seconds over bytes touched and copied."""
    edges = sorted({p.edge for p in points})
    series = {f"{edge}³": [(p.work, p.seconds) for p in points if p.edge == edge] for edge in edges}
    caption = f"bytes touched (decoded) and copied (files); {os.cpu_count()} cores"
    return figure.draw(series, caption, _size, linear=False)


def _size(decade: int) -> str:
    """Return 10 to the power of `decade` bytes as text."""
    prefix, exponent = ("GB", 9) if decade >= 9 else ("MB", 6)
    return f"{10.0 ** (decade - exponent):g} {prefix}"


if __name__ == "__main__":
    main()
