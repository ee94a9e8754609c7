"""Where the lines of the picture lie on a page, in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import log2

from secateur.core.groups import ChannelGraph
from secateur.core.picture.lanes import Line
from secateur.core.picture.rows import Band, Weight

#: The edge of the page, the room for title and legend, the height of a line, and what is added above a line where bands
#: swing from lane to lane.
EDGE, HEAD, LINE, SWING = 28, 140, 22, 24
#: Half the height of the box of a weight.
BOX = 7
#: The widest and the narrowest lane, and how wide all lanes together may be before they grow narrower.
_WIDE, _NARROW, _ALL = 42, 14, 480


@dataclass(frozen=True, slots=True)
class Sheet:
    """The page.

    Attributes:
        graph: the structure.
        lines: the lines, from above to below.
        tops: upper edge of every line, and the lower edge of the last one.
        lane: pixels from lane to lane.
        lanes: how many there are.
    """

    graph: ChannelGraph
    lines: Sequence[Line]
    tops: Sequence[int]
    lane: float
    lanes: int

    @classmethod
    def of(cls, graph: ChannelGraph, lines: Sequence[Line]) -> Sheet:
        """Lay the lines out."""
        lanes = max((n for line in lines for n in (*line.above, *line.below, line.lane)), default=0) + 1
        heights = (LINE + (SWING if _swings(line) else 0) for line in lines)
        return cls(graph, lines, list(accumulate(heights, initial=HEAD)), min(_WIDE, max(_NARROW, _ALL / lanes)), lanes)

    def x(self, lane: int) -> float:
        """The middle of a lane."""
        return round(EDGE + (lane + 0.5) * self.lane, 1)

    @property
    def box(self) -> float:
        """Half the width of the box of a weight; boxes in neighbouring lanes never touch."""
        return round(min(13, 0.45 * self.lane), 1)

    @property
    def right(self) -> float:
        """Where the last lane ends."""
        return self.x(self.lanes) - self.lane / 2

    def top(self, i: int) -> int:
        """The upper edge of line `i`."""
        return self.tops[i]

    def middle(self, i: int) -> int:
        """The height at which the box, the band and the words of line `i` stand."""
        return self.tops[i + 1] - LINE // 2

    def landing(self, i: int) -> int:
        """Where bands that swing over have arrived in their lane."""
        return self.tops[i + 1] - LINE

    def bottom(self, i: int) -> int:
        """The lower edge of line `i`."""
        return self.tops[i + 1]

    def thick(self, group: str) -> float:
        """How wide a band is: it grows with the logarithm of its units, so that 3 show beside 2,048."""
        units = max(self.graph.groups[group].units, 1)
        return round(min(4 + 1.8 * log2(units), 22, 0.6 * self.lane), 1)


def _swings(line: Line) -> bool:
    """Whether something goes from lane to lane."""
    if isinstance(line.row, Weight):
        return set(line.joined) > {line.lane} or bool(line.joined and line.lane not in line.joined)
    return isinstance(line.row, Band) and line.origin is not None and set(line.joined) != {line.origin}
