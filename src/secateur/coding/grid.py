"""A sparse matrix of codes, coded cell by cell: where something is, and what, guessed from what lies around it.

Rows and columns in which nothing is cost a fraction of a bit each and are left out. In the rest, a cell is guessed from
how full its row and column were so far, from its neighbours, and, where the columns are pixels of a picture or of a
kernel, from its neighbours there. Encoder and decoder run the same function, so they cannot disagree.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from secateur.coding.arithmetic import BitCoder
from secateur.coding.codecs.base import Whole
from secateur.coding.live import Known, code_lines
from secateur.coding.mixing import Mixer

#: Levels are told apart in contexts up to this many; more are put together.
_CLASSES = 16
#: How many there were, in few classes: 0 1 2 3, 4-5, 6-8, 9-15, more.
_FEW = (0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6)
#: round(3 log2(n + 1)) for n below 1024, in whole numbers: 2 k + 1 <= log2((n + 1)^6) for so many k.
_THIRDS = tuple(min(31, ((n + 1) ** 6).bit_length() // 2) for n in range(1024))


@dataclass(frozen=True, slots=True)
class Shape:
    """What both sides know of a grid before the first bit.

    Attributes:
        rows: how many.
        columns: how many.
        levels: codes are from 0, nothing, to this.
        period: columns per row of the picture that a row of the grid is; 0 for none.
    """

    rows: int
    columns: int
    levels: int
    period: int = 0

    def most_bits(self, cells: int) -> int:
        """Bits that so many cells take to code, at most."""
        return cells * (1 + max(0, self.levels - 1).bit_length())


def code_grid(
    coder: BitCoder,
    codes: Whole,
    shape: Shape,
    *,
    known: Known | None = None,
    spend: Callable[[int], None] = lambda _: None,
) -> Whole:
    """Code a grid.

    Args:
        coder: an encoder, or a decoder, for which `codes` are of no meaning.
        codes: `(rows, columns)`.
        shape: its outline.
        known: what was in the tensors before.
        spend: is told how many bits will be coded at most, and may refuse.

    Returns:
        The codes.
    """
    rows, columns = code_lines(coder, codes != 0, shape.period, known or Known())
    live = np.flatnonzero(columns).tolist()
    spend(shape.most_bits(len(live) * int(rows.sum())))
    found = np.zeros_like(codes)
    canvas = _Canvas(shape)
    places, values = _Places(coder, canvas), _Values(coder, canvas)
    sure = len(live) == 1 or int(rows.sum()) == 1  # then a row or column that holds anything holds it here
    for row in np.flatnonzero(rows).tolist():
        given = codes[row].tolist()
        canvas.start()
        for column in live:
            if sure or places.code(int(given[column] != 0), column, row):
                found[row, column] = code = values.code(given[column], column)
                canvas.put(column, code)
    return found


class _Canvas:
    """What was coded so far, with a margin of nothing.

    Attributes:
        here: 1 where this row holds something; above, higher, highest: the rows before.
        codes: what this row holds.
        in_column: how many there were in each column.
        in_row: how many in this row.
        total: how many in all.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.margin = max(3, 2 * shape.period + 3)
        self._width = shape.columns + 2 * self.margin
        self.here, self.above, self.higher, self.highest, self.codes, self.in_column = (
            [0] * self._width for _ in range(6)
        )
        self.in_row = self.total = 0

    def start(self) -> None:
        """Go to the next row."""
        self.here, self.above, self.higher, self.highest = [0] * self._width, self.here, self.above, self.higher
        self.codes = [0] * self._width
        self.in_row = 0

    def put(self, column: int, code: int) -> None:
        """Note a code."""
        at = column + self.margin
        self.here[at] = 1
        self.codes[at] = code
        self.in_column[at] += 1
        self.in_row += 1
        self.total += 1


class _Places:
    """Whether a cell holds anything."""

    _PRIORS = (12, 12, 8, 8, 8, 8, 8)

    def __init__(self, coder: BitCoder, canvas: _Canvas) -> None:
        self._coder, self._canvas = coder, canvas
        shape = canvas.shape
        sizes = (shape.rows, shape.columns, 64, 256, 512, 256, 2048)
        self._bases = tuple(sum(sizes[:i]) for i in range(len(sizes)))
        self._mixer = Mixer(sum(sizes), len(sizes), 1, rate=16)

    def code(self, bit: int, column: int, row: int) -> int:
        """One cell."""
        canvas = self._canvas
        here, above, higher = canvas.here, canvas.above, canvas.higher
        at = column + canvas.margin
        count, in_row = canvas.in_column[at], canvas.in_row
        full = _FEW[count] if count < 16 else 7
        wide = _FEW[in_row] if in_row < 16 else 7
        near = (
            here[at - 1]
            | here[at - 2] << 1
            | above[at] << 2
            | higher[at] << 3
            | above[at - 1] << 4
            | above[at + 1] << 5
        )
        if canvas.shape.period:
            picture, around, weight = self._picture(at)
        else:
            picture, around, weight = 0, here[at - 1] + here[at - 2] + here[at - 3], 8 * count
        up = above[at] + higher[at] + canvas.highest[at]
        expected = (5 * weight + 8) * (5 * in_row + 1) * 2048 // (200 * (canvas.total + 2))
        third = _THIRDS[expected] if expected < 1023 else _THIRDS[1023]
        base = self._bases
        contexts = (
            row,
            base[1] + column,
            base[2] + near,
            base[3] + picture,
            base[4] + (around << 6 | full << 3 | wide),
            base[5] + (up << 6 | full << 3 | around),
            base[6] + (third << 6 | around << 3 | wide),
        )
        return self._mixer.code(self._coder, bit, contexts, self._PRIORS, 0)

    def _picture(self, at: int) -> tuple[int, int, int]:
        """Neighbours in the picture: which hold something, how many do, and how full their columns are, in eighths."""
        canvas = self._canvas
        here, above, counts, period = canvas.here, canvas.above, canvas.in_column, canvas.shape.period
        up, down = at - period, at + period
        top = up - period
        a, b, c, d = here[up], here[up - 1], here[up + 1], here[at - 1]
        picture = 128 | a | b << 1 | c << 2 | d << 3 | above[up] << 4 | above[down] << 5 | above[at] << 6
        around = a + b + c + d + here[at - 2] + here[top] + here[up - 2] + here[up + 2] + here[top - 1] + here[top + 1]
        corners = counts[up - 1] + counts[up + 1] + counts[down - 1] + counts[down + 1]
        weight = counts[at - 1] + counts[at + 1] + counts[up] + counts[down] + (corners >> 1) + 2 * counts[at]
        return picture, around if around < 7 else 7, weight


class _Values:
    """Which of the levels a cell holds: the digits of its number, the highest first."""

    _PRIORS = (2, 2, 2, 2, 2, 2)

    def __init__(self, coder: BitCoder, canvas: _Canvas) -> None:
        self._coder, self._canvas = coder, canvas
        self._levels = canvas.shape.levels
        self._digits = max(0, (self._levels - 1).bit_length())
        self._size = 1 << self._digits
        self._classes = min(self._levels, _CLASSES) + 1
        several = 1 + 4 * self._classes + self._classes**2
        self._mixer = Mixer(self._size * several, 6, max(1, self._digits), rate=20)
        self._last_in_column = [0] * canvas.shape.columns
        self._last = 0

    def code(self, code: int, column: int) -> int:
        """One code, from 1 to `levels`."""
        canvas, size, classes = self._canvas, self._size, self._classes
        at = column + canvas.margin
        up = self._class(canvas.codes[at - canvas.shape.period]) if canvas.shape.period else 0
        left = self._class(canvas.codes[at - 1]) or up
        last = self._last if canvas.in_row else 0
        before = self._last_in_column[column]
        pair = last * classes + before
        bases = [
            size * one
            for one in (
                0,
                1 + last,
                1 + classes + before,
                1 + 2 * classes + left,
                1 + 3 * classes + up,
                1 + 4 * classes + pair,
            )
        ]
        prefix = 1
        for place in range(self._digits - 1, -1, -1):
            if (prefix << 1 | 1) << place > self._levels - 1 + size:  # a one would lead past the last level
                prefix <<= 1
                continue
            contexts = [base + prefix for base in bases]
            bit = (code - 1) >> place & 1
            bit = self._mixer.code(self._coder, bit, contexts, self._PRIORS, self._digits - 1 - place)
            prefix = prefix << 1 | bit
        found = prefix - size + 1
        self._last = self._last_in_column[column] = self._class(found)
        return found

    def _class(self, code: int) -> int:
        if self._levels <= _CLASSES or not code:
            return code
        return 1 + (code - 1) * _CLASSES // self._levels
