"""Which rows and columns of a matrix hold anything: flags that cost next to nothing where they are all alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.coding.arithmetic import BitCoder, Decoder, Encoder
from secateur.coding.bits import Cursor, varint
from secateur.coding.mixing import Mixer

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What the tensors before say about the next one.

    A unit that is dead as a row of one weight is dead in the bias beside it and as a column of the next weight, or as
    several columns where feature maps were flattened.

    Attributes:
        rows: which rows of the last weight before hold anything; None where there is none.
    """

    rows: Flags | None = None

    def of_rows(self, count: int) -> Flags | None:
        """A hint for `count` rows."""
        return self.rows if self.rows is not None and self.rows.size == count else None

    def of_columns(self, count: int) -> Flags | None:
        """A hint for `count` columns."""
        if self.rows is None or self.rows.size < 2 or count % self.rows.size:
            return None
        return np.repeat(self.rows, count // self.rows.size)

    def then(self, shape: tuple[int, ...], mask: Flags) -> Known:
        """What is known after a tensor of `shape` whose `(rows, columns)` hold something where `mask` says."""
        return Known(np.asarray(mask.any(1))) if len(shape) > 1 else self


def code_flags(coder: BitCoder, flags: Flags, hint: Flags | None = None, period: int = 0) -> Flags:
    """Code `flags`, or as many: guessed from the two before, a hint, and the row of a picture above."""
    mixer = Mixer(5 + 8 + 16, 4, 1, rate=16)
    hints = [0] * flags.size if hint is None else [1 + int(x) for x in hint]
    out = [0] * (period + 2)
    for number, flag in enumerate(flags.tolist()):
        before = out[-1] | out[-2] << 1
        above = out[-period] | out[1 - period] << 1 | out[-period - 1] << 2 if period > 1 else 0
        contexts = [0, 1 + before, 5 + (hints[number] << 1 | out[-1]), 13 + (above << 1 | out[-1])]
        out.append(mixer.code(coder, int(flag), contexts, (1, 2, 1, 2), 0))
    return np.array(out[period + 2 :], dtype=bool)


def code_lines(coder: BitCoder, mask: Flags, period: int, known: Known) -> tuple[Flags, Flags]:
    """Code which rows and which columns of a matrix hold anything."""
    rows, columns = mask.shape
    found = code_flags(coder, np.asarray(mask.any(1)), known.of_rows(rows))
    return found, code_flags(coder, np.asarray(mask.any(0)), known.of_columns(columns), period)


def live_to_bytes(mask: Flags, known: Known) -> tuple[bytes, Flags, Flags]:
    """Flags of rows and columns of a matrix as bytes, and as they are."""
    coder = Encoder()
    rows, columns = code_lines(coder, mask, 0, known)
    content = coder.finish()
    return varint(len(content)) + content, rows, columns


def live_from_bytes(cursor: Cursor, rows: int, columns: int, known: Known) -> tuple[Flags, Flags]:
    """Flags of rows and columns."""
    coder = Decoder(cursor.take(cursor.whole(cursor.left)))
    found = (
        code_flags(coder, np.zeros(rows, bool), known.of_rows(rows)),
        code_flags(coder, np.zeros(columns, bool), known.of_columns(columns)),
    )
    coder.finish()
    return found


def gather(matrix: NDArray[Any], rows: Flags, columns: Flags) -> NDArray[Any]:
    """The part of a matrix in which something is."""
    return matrix if rows.all() and columns.all() else matrix[np.ix_(rows, columns)]


def scatter(part: NDArray[Any], rows: Flags, columns: Flags) -> NDArray[Any]:
    """The matrix of which `part` is left, zeros elsewhere."""
    if rows.all() and columns.all():
        return part
    whole = np.zeros((rows.size, columns.size), dtype=part.dtype)
    whole[np.ix_(rows, columns)] = part
    return whole
