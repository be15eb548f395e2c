"""How loading and saving grow with the number of nodes: a table and a figure.

Usage: ``python -m benches.python.growth [--nodes N ...] [--figure docs/figures/nml-growth.svg]``.
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benches.python import inputs
from benches.python.measure import best_of

NML = "benches.python.nml_jobs"
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 640, 360, 64, 36, 48
_COLORS = ("#1b6ca8", "#c8553d", "#6a994e")


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
    figure = Path(options.figure)
    figure.parent.mkdir(parents=True, exist_ok=True)
    figure.write_text(draw(points), encoding="utf-8")


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
    """Return an SVG of seconds over nodes, both logarithmic: linear growth has the slope of the grey line."""
    series = {
        "load": [p.load for p in points],
        "save": [p.save for p in points],
        "load, edit, save": [p.edit for p in points],
    }
    nodes = [p.nodes for p in points]
    values = [value for line in series.values() for value in line]
    x_range, y_range = _decades(nodes), _decades(values)

    def at(count: float, seconds: float) -> tuple[float, float]:
        x = _LEFT + (math.log10(count) - x_range[0]) / (x_range[1] - x_range[0]) * (_WIDTH - _LEFT - 24)
        y = (
            _HEIGHT
            - _BOTTOM
            - (math.log10(seconds) - y_range[0]) / (y_range[1] - y_range[0]) * (_HEIGHT - _BOTTOM - _TOP)
        )
        return x, y

    parts = [_axis(at, x_range, y_range)]
    first = series["load"][0]
    linear = [at(nodes[0], first), at(nodes[-1], first * nodes[-1] / nodes[0])]
    parts.append(_line(linear, "#bbb", dashed=True))
    for i, (name, line) in enumerate(series.items()):
        parts.append(_line([at(n, s) for n, s in zip(nodes, line, strict=True)], _COLORS[i]))
        parts.append(f'<text x="{_LEFT + 12 + i * 130}" y="22" fill="{_COLORS[i]}">{name}</text>')
    parts.append(f'<text x="{_LEFT + 12 + 3 * 130}" y="22" fill="#999">linear growth</text>')
    style = "font-family:sans-serif;font-size:13px"
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="{style}">\n{body}\n</svg>\n'
    )


def _decades(values: list[int] | list[float]) -> tuple[int, int]:
    return math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))


def _axis(at, x_range: tuple[int, int], y_range: tuple[int, int]) -> str:  # noqa: ANN001 - a local function
    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>']
    for decade in range(x_range[0], x_range[1] + 1):
        x, y = at(10**decade, 10 ** y_range[0])
        parts.append(f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{10**decade:,}</text>')
    for decade in range(y_range[0], y_range[1] + 1):
        x, y = at(10 ** x_range[0], 10.0**decade)
        parts.append(f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDTH - 24}" y2="{y:.1f}" stroke="#eee"/>')
        parts.append(f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g} s</text>')
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">nodes</text>')
    return "\n".join(parts)


def _line(points: list[tuple[float, float]], color: str, *, dashed: bool = False) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    dash = ' stroke-dasharray="5 5"' if dashed else ""
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"{dash}/>'


if __name__ == "__main__":
    main()
