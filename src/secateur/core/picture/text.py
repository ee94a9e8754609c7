"""The picture in box-drawing characters, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from secateur.core.groups import ChannelGraph
from secateur.core.picture.lanes import Line
from secateur.core.picture.rows import Weight
from secateur.core.picture.words import cells, headline

_KEY = "■ weight   ┃ units that are cut together   ┊ pinned   × scales   + shifts   ~ follows"  # noqa: RUF001
_SHARE = "16·50: each of 50 units owns 16 entries"
#: Up, down, left, right: whether a stroke leaves the character that way.
_STROKES = {
    (1, 1, 0, 0): "┃", (1, 1, 0, 1): "┣", (1, 1, 1, 0): "┫", (1, 1, 1, 1): "╋",
    (1, 0, 0, 0): "╹", (1, 0, 0, 1): "┗", (1, 0, 1, 0): "┛", (1, 0, 1, 1): "┻",
    (0, 1, 0, 0): "╻", (0, 1, 0, 1): "┏", (0, 1, 1, 0): "┓", (0, 1, 1, 1): "┳",
    (0, 0, 1, 1): "━", (0, 0, 0, 1): "╺", (0, 0, 1, 0): "╸", (0, 0, 0, 0): "•",
}  # fmt: skip


def text(graph: ChannelGraph, lines: Sequence[Line]) -> str:
    """One line of text per line of the picture; ends without a newline."""
    wide = max((lane for line in lines for lane in (*line.above, *line.below, line.lane)), default=0) + 1
    told = [cells(graph, line) for line in lines]
    name, size = (max((len(cells[n]) for cells in told if cells[1]), default=0) for n in (0, 1))
    body = [
        f"{_strand(graph, line, wide)}  {a:<{name}}  {b:<{size}}  {c}".rstrip()
        for line, (a, b, c) in zip(lines, told, strict=True)
    ]
    key = [_KEY, _SHARE] if any("·" in size for _, size, _ in told) else [_KEY]
    return "\n".join([headline(graph), *key, "", *body])


def _strand(graph: ChannelGraph, line: Line, wide: int) -> str:
    """The lanes of one line, two characters each, the last one without a gap."""
    ends = {line.lane, *line.joined, *(() if line.origin is None else (line.origin,))}
    left, right = min(ends), max(ends)
    signs = []
    for lane in range(wide):
        across = (left < lane <= right, left <= lane < right)
        here = lane in line.above or lane in line.below or lane in ends or any(across)
        signs += [_sign(graph, line, lane, across, lane in ends) if here else " ", "━" if across[1] else " "]
    return "".join(signs[:-1])


def _sign(graph: ChannelGraph, line: Line, lane: int, across: tuple[bool, bool], tied: bool) -> str:
    if isinstance(line.row, Weight) and lane == line.lane:
        return "■"
    up, down = lane in line.above, lane in line.below
    if line.row is None:
        return "⋮" if up else " "
    if up and down and not (tied and any(across)):
        return "┊" if graph.groups[line.below[lane]].pinned else "┃"
    return _STROKES[(int(up), int(down), int(across[0]), int(across[1]))]
