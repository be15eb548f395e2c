"""How a merge grows with what it touches and copies, and how near transcoding comes to the codecs alone.

Usage: ``python -m benches.python.merge_curves [--edges N ...] [--format F] [--figure FILE]``; needs no other package.
Layers of 2048³ voxels take long to generate; ask for them with ``--edges``.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benches.python import volumes
from benches.python.measure import best_of

MERGE = "benches.python.merge_jobs"
FRACTIONS = (0.001, 0.01, 0.1, 1.0)
_CHUNK = 32
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
    parser.add_argument("--edges", type=int, nargs="+", default=[512, 1024])
    parser.add_argument("--format", choices=("wkw", "zarr3"), default="zarr3")
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--folder", default=str(Path(tempfile.gettempdir()) / "wkfast-bench"))
    parser.add_argument("--figure", default="docs/figures/merge-growth.svg")
    options = parser.parse_args()
    folder = Path(options.folder)
    points = [
        measure(folder, options.format, edge, fraction, options.runs)
        for edge in options.edges
        for fraction in FRACTIONS
    ]
    sys.stdout.write(table(points) + transcoding(folder, min(options.edges), options.runs))
    figure = Path(options.figure)
    figure.parent.mkdir(parents=True, exist_ok=True)
    figure.write_text(draw(points), encoding="utf-8")


def measure(folder: Path, data_format: str, edge: int, fraction: float, runs: int) -> Point:
    """Merge an annotation that touches `fraction` of the chunks."""
    chunks = max(1, round(fraction * (edge // _CHUNK) ** 3))
    source = volumes.volume(folder, data_format, edge, chunks)
    arguments = (str(source.annotation), str(source.datasets), str(folder / "merged"))
    merged = best_of(runs, MERGE, "unchecked_merge", *arguments)
    copied = sum(file.stat().st_size for file in source.fallback_mag.rglob("*") if file.is_file())
    return Point(edge, fraction, copied, chunks * _CHUNK**3 * 4, merged.seconds, merged.peak_over_baseline)


def transcoding(folder: Path, edge: int, runs: int) -> str:
    """Return a line about a merge that encodes every chunk anew, against the codecs alone on all cores."""
    source = volumes.volume(folder, "zarr3", edge, (edge // _CHUNK) ** 3)
    arguments = (str(source.annotation), str(source.datasets), str(folder / "merged"))
    merged = best_of(runs, MERGE, "unchecked_merge", *arguments)
    codecs = best_of(runs, MERGE, "transcode_alone", str(source.annotation))
    share = codecs.seconds / merged.seconds
    return (
        f"\nWKW over Zarr zstd, every chunk of {edge}³: {merged.seconds:.3f} s, {share:.0%} of the codecs' own rate\n"
    )


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
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10.0 ** (decade - 6):g} MB</text>')
    for decade in range(y_range[0], y_range[1] + 1):
        x, y = at(10.0 ** x_range[0], 10.0**decade)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDTH - 24}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g} s</text>')
    for i, edge in enumerate(sorted({p.edge for p in points})):
        color = _COLORS[i % len(_COLORS)]
        line = " ".join("{:.1f},{:.1f}".format(*at(p.work, p.seconds)) for p in points if p.edge == edge)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts.append(f'<text x="{_LEFT + 12 + i * 90}" y="22" fill="{color}">{edge}³</text>')
    caption = "bytes touched (decoded) and copied (files)"
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{caption}</text>')
    body = "\n".join(parts)
    style = "font-family:sans-serif;font-size:13px"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="{style}">\n{body}\n</svg>\n'
    )


def _decades(values: list[int] | list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


if __name__ == "__main__":
    main()
