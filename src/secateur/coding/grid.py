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
from secateur.coding.live import code_flags
from secateur.coding.mixing import Mixer

_FULLNESS = (0, 1, 2, 3, 4, 4, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6)


@dataclass(frozen=True, slots=True)
class Shape:
    """What both sides know of a grid before the first bit.

    Attributes:
        rows: how many.
        columns: how many.
        levels: codes are from 0, nothing, to this.
        period: columns per row of the picture that a row of the grid is; 0 for none.
        firm: how many cells the first guess about a row or column counts for.
    """

    rows: int
    columns: int
    levels: int
    period: int = 0
    firm: int = 24


def code_grid(coder: BitCoder, codes: Whole, shape: Shape, spend: Callable[[int], None] = lambda _: None) -> Whole:
    """Code a grid.

    Args:
        coder: an encoder, or a decoder, for which `codes` are of no meaning.
        codes: `(rows, columns)`.
        shape: its outline.
        spend: is told how many cells will be coded, and may refuse.

    Returns:
        The codes.
    """
    rows = code_flags(coder, (codes != 0).any(1))
    columns = code_flags(coder, (codes != 0).any(0))
    found = np.zeros_like(codes)
    places = _Places(coder, shape)
    values = _Values(coder, shape)
    live = np.flatnonzero(columns).tolist()
    spend(len(live) * int(rows.sum()))
    sure = len(live) == 1 or int(rows.sum()) == 1  # then a row or column that holds anything holds it here
    width = shape.columns + 2 * places.margin
    above, higher = [0] * width, [0] * width
    for row in np.flatnonzero(rows).tolist():
        given = codes[row].tolist()
        here = [0] * width
        places.start(row)
        values.start()
        for column in live:
            if sure or places.code(int(given[column] != 0), column, here, above, higher):
                found[row, column] = values.code(given[column], column)
        above, higher = here, above
    return found


class _Places:
    """Whether a cell holds anything."""

    def __init__(self, coder: BitCoder, shape: Shape) -> None:
        self._coder, self._shape = coder, shape
        self.margin = max(2, shape.period + 1)
        columns = shape.columns
        self._row_base = 1 + columns
        self._near = self._row_base + shape.rows
        self._picture = self._near + 64
        self._full = self._picture + 128
        self._mixer = Mixer(self._full + 8 * 16, 6, 8)
        self._in_column = [0] * columns
        self._priors = [2, shape.firm, shape.firm, 8, 8, 8]
        self._row = 0
        self._in_row = 0

    def start(self, row: int) -> None:
        """Go to the next row."""
        self._row, self._in_row = row, 0

    def code(self, bit: int, column: int, here: list[int], above: list[int], higher: list[int]) -> int:
        """One cell; notes it in `here`."""
        at = column + self.margin
        period = self._shape.period
        near = (
            here[at - 1]
            | here[at - 2] << 1
            | above[at] << 2
            | higher[at] << 3
            | above[at - 1] << 4
            | above[at + 1] << 5
        )
        picture = 0
        if period:
            up = at - period
            picture = 64 | here[up] | here[up - 1] << 1 | here[up + 1] << 2 | here[at - 1] << 3 | above[up] << 4
        count = self._in_column[column]
        full = _FULLNESS[count] if count < 16 else 7
        count = self._in_row
        wide = _FULLNESS[count] if count < 16 else 7
        contexts = [
            0,
            1 + column,
            self._row_base + self._row,
            self._near + near,
            self._picture + picture,
            self._full + (full << 3 | wide),
        ]
        bit = self._mixer.code(self._coder, bit, contexts, self._priors, full)
        if bit:
            here[at] = 1
            self._in_column[column] += 1
            self._in_row += 1
        return bit


class _Values:
    """Which of the levels a cell holds: the digits of its number, the highest first."""

    def __init__(self, coder: BitCoder, shape: Shape) -> None:
        self._coder = coder
        self._levels = shape.levels
        self._digits = max(0, (shape.levels - 1).bit_length())
        self._size = 1 << self._digits
        known = self._levels + 1
        self._by_row = self._size
        self._by_column = self._by_row + self._size * known
        self._mixer = Mixer(self._by_column + self._size * known, 3, max(1, self._digits))
        self._last_in_column = [0] * shape.columns
        self._last = 0

    def start(self) -> None:
        """Go to the next row."""
        self._last = 0

    def code(self, code: int, column: int) -> int:
        """One code, from 1 to `levels`."""
        prefix = 1
        row = self._by_row + self._last * self._size
        col = self._by_column + self._last_in_column[column] * self._size
        for place in range(self._digits - 1, -1, -1):
            if (prefix << 1 | 1) << place > self._levels - 1 + self._size:  # a one would lead past the last level
                prefix <<= 1
                continue
            bit = (code - 1) >> place & 1
            contexts = [prefix, row + prefix, col + prefix]
            bit = self._mixer.code(self._coder, bit, contexts, [2, 8, 8], self._digits - 1 - place)
            prefix = prefix << 1 | bit
        found = prefix - self._size + 1
        self._last = self._last_in_column[column] = found
        return found
