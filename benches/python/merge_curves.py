"""How a merge grows with what it touches and copies, and how near transcoding comes to the codecs alone.

Usage: ``python -m benches.python.merge_curves [--edges N ...] [--format F] [--figure FILE] [--inputs-only]``. All
shards of a layer are alike, so that large ones are generated quickly.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from benches.python import volumes
from benches.python.measure import Measurement, best_of

MERGE = "benches.python.merge_jobs"
FRACTIONS = (0.001, 0.01, 0.1, 1.0)
_CHUNK = 32
_TRANSCODED = 1024
# Seconds from which on a merge is run once.
_PATIENCE = 5.0
# The mag says level 5; integers are encoded with level 3's search, see docs/decisions.
_LEVELS = {5: "LZ4 and zstd 5", 3: "LZ4 and zstd 3"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 360, 64, 36, 48
_COLORS = ("#1b6ca8", "#c8553d", "#6a994e")


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
    figure = Path(options.figure)
    figure.parent.mkdir(parents=True, exist_ok=True)
    figure.write_text(draw(points), encoding="utf-8")


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
    """Return an SVG of seconds over bytes touched and copied, both logarithmic."""
    x_range, y_range = _decades([p.work for p in points]), _decades([p.seconds for p in points])

    def at(work: float, seconds: float) -> tuple[float, float]:
        x = (math.log10(work) - x_range[0]) / (x_range[1] - x_range[0])
        y = (math.log10(seconds) - y_range[0]) / (y_range[1] - y_range[0])
        return _LEFT + x * (_WIDTH - _LEFT - 24), _HEIGHT - _BOTTOM - y * (_HEIGHT - _BOTTOM - _TOP)

    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>']
    for decade in range(x_range[0], x_range[1] + 1):
        x, y = at(10.0**decade, 10.0 ** y_range[0])
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{_size(decade)}</text>')
    for decade in range(y_range[0], y_range[1] + 1):
        x, y = at(10.0 ** x_range[0], 10.0**decade)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDTH - 24}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g} s</text>')
    for i, edge in enumerate(sorted({p.edge for p in points})):
        color = _COLORS[i % len(_COLORS)]
        places = [at(p.work, p.seconds) for p in points if p.edge == edge]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>' for x, y in places]
        parts.append(f'<text x="{_LEFT + 12 + i * 90}" y="22" fill="{color}">{edge}³</text>')
    caption = f"bytes touched (decoded) and copied (files); {os.cpu_count()} cores"
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{caption}</text>')
    body = "\n".join(parts)
    style = "font-family:sans-serif;font-size:13px"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="{style}">\n{body}\n</svg>\n'
    )


def _size(decade: int) -> str:
    """Return 10 to the power of `decade` bytes as text."""
    prefix, exponent = ("GB", 9) if decade >= 9 else ("MB", 6)
    return f"{10.0 ** (decade - exponent):g} {prefix}"


def _decades(values: list[int] | list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


if __name__ == "__main__":
    main()
