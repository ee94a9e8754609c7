"""Lines over a grid as a picture that opens in any browser: the best of a search so far, curves of sensitivity."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from secateur.searching import Searched, Sensitivities
from secateur.searching.history import best_so_far

#: Sides of the picture, and of the part that is drawn in.
_WIDTH, _HEIGHT = 760, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 66, 52
_COLOURS = ("#2d7a4f", "#b5532b", "#3b5b92", "#8a6d1f", "#7a3e78", "#3f8a8c", "#9aa39c", "#222222")


@dataclass(frozen=True, slots=True)
class Axes:
    """Words and bounds of a picture.

    Attributes:
        title: above it.
        x: what runs to the right.
        y: what runs up.
        dots: single points to draw pale behind the lines.
    """

    title: str
    x: str
    y: str
    dots: tuple[tuple[float, float], ...] = ()


def search_svg(found: Mapping[str, Searched]) -> str:
    """The best quality so far over the evaluations, one line for every search, by its name."""
    lines = {
        name: [(number + 1.0, best) for number, best in enumerate(best_so_far(one))] for name, one in found.items()
    }
    only = next(iter(found.values())) if len(found) == 1 else None
    dots = tuple((t.number + 1.0, t.quality) for t in only.history if t.fits) if only else ()
    budget = next(iter(found.values())).plan.provenance.budget
    return lines_svg(lines, Axes(f"Best quality so far, budget {budget}", "evaluations", "quality, not trained", dots))


def sensitivity_svg(found: Sensitivities) -> str:
    """The quality when one block alone is cut, one line for every block."""
    lines = {name: [(1.0, found.dense), *points] for name, points in found.curves.items()}
    return lines_svg(lines, Axes("One block cut alone", "share of the block that stays", "quality, not trained"))


def lines_svg(lines: Mapping[str, Sequence[tuple[float, float]]], axes: Axes) -> str:
    """The picture as text; points that are not finite are left out."""
    drawn = {name: [p for p in points if math.isfinite(p[1])] for name, points in lines.items()}
    every = [p for points in drawn.values() for p in points] + list(axes.dots)
    xs, ys = [x for x, _ in every] or [0.0], [y for _, y in every] or [0.0]
    across, up = _scale(min(xs), max(xs), _LEFT, _WIDTH - _RIGHT), _scale(min(ys), max(ys), _HEIGHT - _BOTTOM, _TOP)
    parts = [_ticks(across, up)]
    parts += [f'<circle cx="{across(x):.1f}" cy="{up(y):.1f}" r="2" fill="#cfe3d6"/>' for x, y in axes.dots]
    for number, (name, points) in enumerate(drawn.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        dash = f' stroke-dasharray="{3 * (number // len(_COLOURS))} 3"' if number >= len(_COLOURS) else ""
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dash}/>')
        y = _TOP + 16 * number
        parts.append(f'<text x="{_WIDTH - _RIGHT + 14}" y="{y + 4}" fill="{colour}">{escape(name)}</text>')
    height = max(_HEIGHT, _TOP + 16 * len(drawn) + 20)
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="system-ui, sans-serif" font-size="13" fill="#24302a">'
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#fbfaf6"/>'
        f'<text x="20" y="34" font-size="15" font-weight="600">{escape(axes.title)}</text>'
        f'<text x="{_LEFT}" y="{_HEIGHT - 12}">{escape(axes.x)}</text>'
        f'<text transform="translate(18 {middle + 60:.0f}) rotate(-90)">{escape(axes.y)}</text>{"".join(parts)}</svg>\n'
    )


class _scale:
    """A straight line from values to places."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self.low, self.high = (low, high) if high > low else (low - 0.5, low + 0.5)
        self.first, self.last = first, last

    def __call__(self, value: float) -> float:
        return self.first + (value - self.low) / (self.high - self.low) * (self.last - self.first)

    def ticks(self) -> list[float]:
        """About five round numbers within the bounds."""
        step = 10.0 ** math.floor(math.log10((self.high - self.low) / 2))
        step *= next(k for k in (1, 2, 5, 10, 20) if (self.high - self.low) / (k * step) <= 6)
        return [n * step for n in range(math.ceil(self.low / step), math.floor(self.high / step + 1e-9) + 1)]


def _ticks(across: _scale, up: _scale) -> str:
    rows = [
        f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{up(y):.1f}" y2="{up(y):.1f}" stroke="#e3e0d6"/>'
        f'<text x="{_LEFT - 8}" y="{up(y) + 4:.1f}" text-anchor="end">{y:.6g}</text>'
        for y in up.ticks()
    ]
    columns = [
        f'<text x="{across(x):.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{x:.6g}</text>'
        for x in across.ticks()
    ]
    return "".join(rows + columns)
