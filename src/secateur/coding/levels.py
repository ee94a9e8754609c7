"""Codebooks: the few values that a tensor takes, bit for bit, in as few bits as tell them apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.base import damaged

#: A tensor that takes more values than this has no codebook.
MOST_LEVELS = 256

Patterns = NDArray[np.uint64]


def in_order(levels: Patterns, top: int, *, signed: bool) -> Patterns:
    """Levels from the most negative float to the most positive one, so that the first digit of a number is its sign."""
    if not signed:
        return np.sort(levels)
    sign = np.uint64(1 << top)
    negative, positive = np.sort(levels[(levels & sign) != 0])[::-1], np.sort(levels[(levels & sign) == 0])
    return np.concatenate([negative, positive])


def levels_to_bytes(levels: Patterns, top: int) -> bytes:
    """Distinct bit patterns, in the order given.

    Args:
        levels: patterns.
        top: number of the highest bit, the sign of floats; where levels come in pairs of signs, one of each is stored.
    """
    numbers = [int(x) for x in levels]
    half = len(numbers) // 2
    sign = 1 << top
    pairs = (
        bool(half)
        and not len(numbers) % 2
        and all(a == b | sign and not b & sign for a, b in zip(numbers[:half][::-1], numbers[half:], strict=True))
    )
    head = varint(len(numbers) << 1 | pairs)
    stored = numbers[half:] if pairs else numbers
    if not stored:
        return head
    together = 0
    for number in stored:
        together |= number
    low = (together & -together).bit_length() - 1 if together else 0
    width = max(1, (together >> low).bit_length())
    bits = 0
    for number in stored:
        bits = bits << width | number >> low
    return head + bytes([low, width - 1]) + bits.to_bytes(-(-width * len(stored) // 8), "big")


def levels_from_bytes(cursor: Cursor, top: int) -> Patterns:
    """What `levels_to_bytes` wrote."""
    count, pairs = divmod(cursor.whole(2 * MOST_LEVELS + 1), 2)
    stored = count // 2 if pairs else count
    if not stored:
        if count or pairs:
            raise damaged("a codebook has no pairs")
        return np.zeros(0, dtype=np.uint64)
    low, width = cursor.byte(), cursor.byte() + 1
    if low + width > top + 1 or (pairs and (count % 2 or low + width > top)):
        raise damaged("a level has more bits than its type")
    bits = int.from_bytes(cursor.take(-(-width * stored // 8)), "big")
    if bits >> width * stored:
        raise damaged("a codebook's padding is not zero")
    numbers = [(bits >> width * (stored - 1 - i) & ((1 << width) - 1)) << low for i in range(stored)]
    if pairs:
        numbers = [x | 1 << top for x in numbers[::-1]] + numbers
    if len(set(numbers)) != len(numbers):
        raise damaged("a codebook holds a level twice")
    return np.array(numbers, dtype=np.uint64)
