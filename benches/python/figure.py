"""Curves over two logarithmic axes, as an SVG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Point = tuple[float, float]

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 40, 36, 48
_COLORS = ("#1b6ca8", "#c8553d", "#6a994e")
_GREY = "#999"


@dataclass(frozen=True)
class _Axes:
    """Decades shown along x and y."""

    x: tuple[int, int]
    y: tuple[int, int]

    @classmethod
    def around(cls, points: Sequence[Point]) -> _Axes:
        return cls(_decades([x for x, _ in points]), _decades([y for _, y in points]))

    def at(self, x: float, y: float) -> Point:
        """Return where a point is drawn."""
        across, up = _part(x, self.x), _part(y, self.y)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - up * (_HEIGHT - _BOTTOM - _TOP)


def draw(series: Mapping[str, Sequence[Point]], caption: str, tick: Callable[[int], str], *, linear: bool) -> str:
    """Return an SVG of seconds over work.

    Parameters
    ----------
    series
        Points by the name of their curve, at most three curves.
    caption
        What lies along x.
    tick
        The text at a decade of x.
    linear
        Draw a grey line of linear growth from the first curve's first point on.
    """
    axes = _Axes.around([point for curve in series.values() for point in curve])
    parts = [f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>', *_grid(axes, tick)]
    names = list(series)
    if linear:
        first, last = next(iter(series.values()))[0], next(iter(series.values()))[-1]
        parts.append(_line(axes, [first, (last[0], first[1] * last[0] / first[0])], "#bbb", dash="5 5"))
        names.append("linear growth")
    for (name, curve), color in zip(series.items(), _COLORS, strict=False):
        parts += [f"<!-- {name} -->", _line(axes, curve, color), *_dots(axes, curve, color)]
    parts += _legend(names, [*_COLORS[: len(series)], _GREY])
    parts.append(f'<text x="{_WIDTH / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">{caption}</text>')
    body = "\n".join(parts)
    style = "font-family:sans-serif;font-size:13px"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" style="{style}">\n{body}\n</svg>\n'
    )


def _grid(axes: _Axes, tick: Callable[[int], str]) -> Iterable[str]:
    for decade in range(axes.x[0], axes.x[1] + 1):
        x, y = axes.at(10.0**decade, 10.0 ** axes.y[0])
        yield f'<line x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{y:.1f}" stroke="#eee"/>'
        yield f'<text x="{x:.1f}" y="{y + 18:.1f}" text-anchor="middle">{tick(decade)}</text>'
    for decade in range(axes.y[0], axes.y[1] + 1):
        x, y = axes.at(10.0 ** axes.x[0], 10.0**decade)
        yield f'<line x1="{x:.1f}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#eee"/>'
        yield f'<text x="{x - 8:.1f}" y="{y + 4:.1f}" text-anchor="end">{10.0**decade:g} s</text>'


def _legend(names: Sequence[str], colors: Sequence[str]) -> Iterable[str]:
    for i, (name, color) in enumerate(zip(names, colors, strict=False)):
        yield f'<text x="{_LEFT + 12 + i * 130}" y="22" fill="{color}">{name}</text>'


def _line(axes: _Axes, points: Sequence[Point], color: str, *, dash: str = "none") -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (axes.at(*point) for point in points))
    return f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-dasharray="{dash}"/>'


def _dots(axes: _Axes, points: Sequence[Point], color: str) -> Iterable[str]:
    for x, y in (axes.at(*point) for point in points):
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"/>'


def _part(value: float, decades: tuple[int, int]) -> float:
    return (math.log10(value) - decades[0]) / (decades[1] - decades[0])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)
