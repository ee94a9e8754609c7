"""Long pictures made short: equal neighbours are drawn once, and what is still too much is counted."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from secateur.core.groups import ChannelGraph
from secateur.core.picture.lanes import Line
from secateur.core.picture.rows import Band, Weight
from secateur.core.picture.words import clean

#: Pictures of as many rows are drawn whole; and no more rows are drawn of longer ones.
ENOUGH = 60
MOST = 200


def shorten(lines: list[Line], graph: ChannelGraph) -> list[Line]:
    """At most `MOST` lines; every line that is left out is spoken for by a note."""
    if len(lines) <= ENOUGH:
        return lines
    numbers: dict[object, int] = {}
    short = _folded(lines, [numbers.setdefault(_look(line, graph), len(numbers)) for line in lines])
    if len(short) <= MOST:
        return short
    weights = sum(isinstance(line.row, Weight) for line in short[MOST:])
    return [*short[:MOST], _note(short[MOST - 1], f"and {weights:,} more weights")]


def _folded(lines: list[Line], looks: Sequence[int]) -> list[Line]:
    short: list[Line] = []
    start = 0
    while start < len(lines):
        period, times = _repeat(looks, start)
        end = start + period
        short += lines[start:end]
        if times > 1:
            alike = _names([lines[n : n + period] for n in range(end, start + period * times, period)])
            what = "row" if period == 1 else f"{period} rows"
            short.append(_note(lines[end - 1], f"{times - 1} more like the {what} above: {alike}"))
        start += period * times
    return short


def _repeat(looks: Sequence[int], start: int) -> tuple[int, int]:
    """Length and number of the equal stretches that begin at `start`; the choice that leaves out most."""
    best, saved = (1, 1), 1  # a note takes a line too
    for period in range(1, (len(looks) - start) // 2 + 1):
        if looks[start] != looks[start + period]:
            continue
        times = 1
        while looks[start + times * period : start + (times + 1) * period] == looks[start : start + period]:
            times += 1
        if (times - 1) * period > saved:
            best, saved = (period, times), (times - 1) * period
    return best


def _look(line: Line, graph: ChannelGraph) -> object:
    """What two lines must share to count as alike: all that is drawn, and the names but for their numbers."""
    row = line.row
    bands = tuple(tuple(sorted((n, _kind(graph, g)) for n, g in edge.items())) for edge in (line.above, line.below))
    if isinstance(row, Weight):
        dims = tuple(tuple((bool(p.group), p.units, p.times) for p in pieces) for pieces in row.dims)
        tells: object = (_plain(row.tensor), dims, len(row.takes), len(row.gives), len(row.bends))
    else:
        assert isinstance(row, Band)
        marks = tuple((_plain(name), role) for name, role in row.marks)
        tells = (tuple((_plain(g), _kind(graph, g)) for g in row.groups), row.first, marks)
    return type(row), tells, line.lane, line.joined, line.origin, bands


def _kind(graph: ChannelGraph, group: str) -> tuple[int, str, bool]:
    found = graph.groups[group]
    return found.units, _plain(found.pinned), found.exact


def _plain(name: str) -> str:
    return re.sub(r"\d+", "0", name)


def _note(after: Line, text: str) -> Line:
    return replace(after, row=None, above=after.below, joined=(), origin=None, note=f"… {text} (every=True draws all)")


def _names(stretches: Sequence[Sequence[Line]]) -> str:
    """What stretches are called: by the modules that hold all weights of each, or else by their first tensors."""
    tensors = [_tensors(stretch) for stretch in stretches]
    names = [_shared(found) for found in tensors]
    if not all(names) or len(set(names)) < len(names):
        names = [found[0] if found else "unnamed" for found in tensors]
    return clean(", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]} … {names[-1]}")


def _tensors(lines: Sequence[Line]) -> list[str]:
    """The weights among the lines; where there is none, the rest."""
    weights = [line.row.tensor for line in lines if isinstance(line.row, Weight)]
    return weights or [name for line in lines if isinstance(line.row, Band) for name, _ in line.row.marks]


def _shared(names: Sequence[str]) -> str:
    """The dotted beginning that all names share, short of a whole name."""
    shared = []
    for parts in zip(*(name.split(".")[:-1] for name in names), strict=False):
        if len(set(parts)) > 1:
            break
        shared.append(parts[0])
    return ".".join(shared)
