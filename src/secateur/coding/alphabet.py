"""The distinct symbols of a stream, written down once: Huffman and range coders number symbols within it."""

from __future__ import annotations

import numpy as np

from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.base import SYMBOLS, Whole, damaged


def alphabet_to_bytes(letters: Whole) -> bytes:
    """Distinct symbols in rising order: how many, then the steps between them; a run from 0 costs only its length."""
    size = letters.size
    run = bool(size and letters[-1] == size - 1)
    steps = np.diff(letters, prepend=-1) - 1
    return varint(size << 1 | run) + (b"" if run else b"".join(varint(int(step)) for step in steps))


def alphabet_from_bytes(cursor: Cursor, most: int) -> Whole:
    """What `alphabet_to_bytes` wrote.

    Args:
        cursor: where to read.
        most: the number of symbols in the stream, which the alphabet cannot exceed.
    """
    size, run = divmod(cursor.whole(2 * most + 1), 2)
    if run:
        return np.arange(size, dtype=np.int64)
    if size > cursor.left:
        raise damaged(f"an alphabet of {size} symbols does not fit {cursor.left} bytes")
    letters = np.cumsum(np.array([cursor.whole(SYMBOLS) + 1 for _ in range(size)], dtype=np.int64)) - 1
    if size and int(letters[-1]) >= SYMBOLS:
        raise damaged("a symbol is too large")
    return letters


def repeated(cursor: Cursor, letters: Whole, count: int) -> Whole:
    """A stream of `count` symbols from an alphabet of at most one, behind which nothing may follow."""
    cursor.end()
    if letters.size == 0 and count:
        raise damaged("it has no symbols")
    return np.repeat(letters, count)
