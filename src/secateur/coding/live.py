"""Which rows and columns of a matrix hold anything: flags that cost next to nothing where they are all alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.coding.arithmetic import BitCoder, Decoder, Encoder
from secateur.coding.bits import Cursor, varint
from secateur.coding.mixing import Mixer

Flags = NDArray[np.bool_]


def code_flags(coder: BitCoder, flags: Flags) -> Flags:
    """Code `flags`, or as many: each guessed from how many were set before and from the two before it."""
    mixer = Mixer(5, 2, 1)
    before, out = 0, []
    for flag in flags.tolist():
        bit = mixer.code(coder, int(flag), [0, 1 + before], [1, 2], 0)
        out.append(bit)
        before = (before << 1 | bit) & 3
    return np.array(out, dtype=bool)


def live_to_bytes(mask: Flags) -> tuple[bytes, Flags, Flags]:
    """Flags of rows and columns of a matrix as bytes, and as they are."""
    coder = Encoder()
    rows = code_flags(coder, np.asarray(mask.any(1)))
    columns = code_flags(coder, np.asarray(mask.any(0)))
    content = coder.finish()
    return varint(len(content)) + content, rows, columns


def live_from_bytes(cursor: Cursor, rows: int, columns: int) -> tuple[Flags, Flags]:
    """Flags of rows and columns."""
    coder = Decoder(cursor.take(cursor.whole(cursor.left)))
    found = code_flags(coder, np.zeros(rows, bool)), code_flags(coder, np.zeros(columns, bool))
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
