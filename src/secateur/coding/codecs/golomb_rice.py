"""Golomb-Rice codes: for runs whose lengths fall off geometrically, as gaps between surviving weights do."""

from __future__ import annotations

from dataclasses import dataclass
from math import log2

import numpy as np
from torch import Tensor

from secateur.coding.bits import Cursor, pack_fixed, unpack_fixed
from secateur.coding.codecs.base import SYMBOLS, Whole, codec, damaged, tensor, whole
from secateur.core.contracts import Codec


@codec("golomb_rice")
@dataclass(frozen=True, kw_only=True)
class GolombRice(Codec):
    """A quotient in unary and a remainder in k bits; the best k is searched for and stored.

    Formula: bits(x) = floor(x / 2^k) + 1 + k
    Shapes:  (n) whole numbers -> bytes
    Cost:    O(n) per k, vectorised both ways: all quotients come first, all remainders after them

    Example:
        >>> import torch
        >>> GolombRice().encode(torch.tensor([0, 5, 2])).hex()
        '019500'
    """

    def encode(self, symbols: Tensor) -> bytes:
        """The k, quotients, remainders."""
        found = whole(symbols)
        if not found.size:
            return b""
        k = best_k(found)
        ends = np.cumsum((found >> k) + 1) - 1
        if int(ends[-1]) > 64 * (found.size + 2**16):
            k = int(found.max()).bit_length()  # a few giants among small numbers are not what this code is for
            ends = np.arange(found.size)
        quotients = np.zeros(int(ends[-1]) + 1, dtype=np.uint8)
        quotients[ends] = 1
        rests = np.unpackbits(np.frombuffer(pack_fixed(found & ((1 << k) - 1), k), dtype=np.uint8))[: k * found.size]
        return bytes([k]) + np.packbits(np.concatenate([quotients, rests])).tobytes()

    def decode(self, content: bytes, count: int) -> Tensor:
        """Back again."""
        cursor = Cursor(content)
        if not count:
            cursor.end()
            return tensor(np.zeros(0, dtype=np.int64))
        k = cursor.byte()
        bits = np.unpackbits(np.frombuffer(cursor.rest(), dtype=np.uint8))
        if k > 32 or count > bits.size:
            raise damaged(f"{count} Golomb-Rice codes with k = {k} do not fit {bits.size} bits")
        ends = np.flatnonzero(bits)[:count]
        if ends.size < count:
            raise damaged("it ends before its last symbol")
        start = int(ends[-1]) + 1
        quotients = np.diff(ends, prepend=-1) - 1
        stop = start + k * count
        if not 0 <= bits.size - stop < 8 or bits[stop:].any() or int(quotients.max()) << k >= SYMBOLS:
            raise damaged("its remainders do not fill the rest")
        rests = unpack_fixed(np.packbits(bits[start:stop]).tobytes(), k, count)
        return tensor((quotients << k) | rests)

    def bound(self, symbols: Tensor) -> float:
        """With k near log2 of the mean, at most log2(mean + 1) + 3 bits a symbol; it knows nothing but the mean."""
        found = whole(symbols)
        return found.size * (log2(float(found.mean()) + 1) + 3) + 16 if found.size else 0.0


def best_k(found: Whole) -> int:
    """The k with the fewest bits."""
    return min(range(33), key=lambda k: int((found >> k).sum()) + k * found.size)
