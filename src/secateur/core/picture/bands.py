"""The bands of the picture: straight runs, and how they swing into weights and out of them."""

from __future__ import annotations

from collections.abc import Iterator

from secateur.core.picture.lanes import Line
from secateur.core.picture.rows import Band, Weight
from secateur.core.picture.sheet import BOX, Sheet

#: How wide a band is at most where it crosses others.
_NARROW = 5
#: A group, and a piece of SVG that shows some of it.
Piece = tuple[str, str]


def bands(sheet: Sheet) -> dict[str, list[str]]:
    """For every group that is drawn the pieces of its band, without colour."""
    pieces: dict[str, list[str]] = {}
    for group, piece in (*_runs(sheet), *_swung(sheet), *_dots(sheet)):
        pieces.setdefault(group, []).append(piece)
    return pieces


def _runs(sheet: Sheet) -> Iterator[Piece]:
    """Every stretch in which a band runs straight down, joined over all lines that it passes."""
    for lane in range(sheet.lanes):
        open_: tuple[str, float, float] | None = None
        for i, line in enumerate(sheet.lines):
            span = _span(sheet, i, line, lane)
            if open_ and span and open_[0] == span[0] and open_[2] == span[1]:
                open_ = (open_[0], open_[1], span[2])
                continue
            if open_:
                yield _straight(sheet, lane, *open_)
            open_ = span
        if open_:
            yield _straight(sheet, lane, *open_)


def _span(sheet: Sheet, i: int, line: Line, lane: int) -> tuple[str, float, float] | None:
    """Which group runs straight in a lane of a line, from where to where."""
    above, below = line.above.get(lane), line.below.get(lane)
    if line.row is None:
        return None
    if isinstance(line.row, Weight):
        passes = above is not None and above == below
        return (above, sheet.top(i), sheet.bottom(i)) if passes and above is not None else None
    start, end = float(sheet.top(i)), float(sheet.bottom(i))
    if line.origin is not None and lane in line.joined and (above is None or lane == line.origin):
        start = sheet.landing(i)
    elif above is None:
        start = sheet.middle(i)
    if below is None:
        end = sheet.middle(i)
    group = below or (line.row.groups[0] if lane == line.lane else above)
    if group is None or (below is None and lane == line.origin and lane not in line.joined):
        return None
    return group, start, end


def _straight(sheet: Sheet, lane: int, group: str, start: float, end: float) -> Piece:
    return _path(sheet, group, f"M{sheet.x(lane)} {start:g}V{end:g}")


def _swung(sheet: Sheet) -> Iterator[Piece]:
    """How bands come into weights from above, and how units that a weight made come into bands."""
    for i, line in enumerate(sheet.lines):
        if line.row is None:
            for lane, group in line.above.items():
                run = f"M{sheet.x(lane)} {sheet.top(i)}V{sheet.bottom(i)}"
                yield _path(sheet, group, run, kind="run more")
        elif isinstance(line.row, Weight):
            for lane in line.joined:
                if lane != line.lane or line.above[lane] != line.below.get(lane):
                    yield _into(sheet, i, line, lane)
        elif line.origin is not None:
            for lane in line.joined:
                yield _out_of(sheet, i, line, lane, line.origin)


def _into(sheet: Sheet, i: int, line: Line, lane: int) -> Piece:
    start, end = sheet.top(i), sheet.middle(i) - BOX
    path = f"M{sheet.x(lane)} {start}" + _swing(sheet, lane, line.lane, start, end)
    return _path(sheet, line.above[lane], path, narrow=_crosses(line, lane))


def _out_of(sheet: Sheet, i: int, line: Line, lane: int, origin: int) -> Piece:
    assert isinstance(line.row, Band)
    group = line.below.get(lane, line.row.groups[0])
    start, top, end = sheet.middle(i - 1) + BOX, sheet.top(i), sheet.landing(i)
    path = f"M{sheet.x(origin)} {start}V{top}" + _swing(sheet, origin, lane, top, end)
    return _path(sheet, group, path, narrow=abs(origin - lane) > 1)


def _crosses(line: Line, lane: int) -> bool:
    """Whether a swing would hide others, or bands that it has nothing to do with."""
    return lane != line.lane and (abs(lane - line.lane) > 1 or len({*line.joined, line.lane}) > 2)


def _swing(sheet: Sheet, start: int, end: int, above: float, below: float) -> str:
    """From lane to lane, leaving and arriving straight down."""
    if start == end:
        return f"V{below:g}"
    half = (above + below) / 2
    return f"C{sheet.x(start)} {half:g} {sheet.x(end)} {half:g} {sheet.x(end)} {below:g}"


def _dots(sheet: Sheet) -> Iterator[Piece]:
    """Round ends of bands that begin or end between weights, and a dot wherever something works on the units."""
    for i, line in enumerate(sheet.lines):
        if not isinstance(line.row, Band):
            continue
        for group, lane in zip(line.row.groups, line.joined, strict=False):
            y = sheet.middle(i)
            begins, ends = lane not in line.above and line.origin is None, lane not in line.below
            if begins or ends:
                yield group, f'<circle class="end" cx="{sheet.x(lane)}" cy="{y}" r="{sheet.thick(group) / 2:g}"/>'
            if line.row.marks:
                yield group, f'<circle class="dot" cx="{sheet.x(lane)}" cy="{y}" r="2.5"/>'


def _path(sheet: Sheet, group: str, path: str, *, narrow: bool = False, kind: str = "run") -> Piece:
    wide = min(sheet.thick(group), _NARROW) if narrow else sheet.thick(group)
    return group, f'<path class="{kind}" d="{path}" stroke-width="{wide:g}"/>'
