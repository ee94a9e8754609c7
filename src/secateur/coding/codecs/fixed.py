"""Fixed width: every symbol in as many bits as the largest needs; what others are compared with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from secateur.coding.bits import Cursor, pack_fixed, unpack_fixed
from secateur.coding.codecs.base import codec, tensor, whole
from secateur.core.contracts import Codec


@codec("fixed")
@dataclass(frozen=True, kw_only=True)
class Fixed(Codec):
    """No entropy coding: b bits per symbol.

    Formula: b = ceil(log2(1 + largest symbol)); bytes = 1 + ceil(n b / 8)
    Shapes:  (n) whole numbers -> bytes
    Cost:    O(n), vectorised

    Example:
        >>> import torch
        >>> Fixed().encode(torch.tensor([1, 0, 3])).hex()
        '024c'
    """

    def encode(self, symbols: Tensor) -> bytes:
        """The width, then the bits."""
        found = whole(symbols)
        width = int(found.max()).bit_length() if found.size else 0
        return bytes([width]) + pack_fixed(found, width)

    def decode(self, content: bytes, count: int) -> Tensor:
        """Back again."""
        cursor = Cursor(content)
        width = cursor.byte()
        if width > 32:
            return tensor(unpack_fixed(b"\0", 0, count))  # never fits: raises
        if width == 0:
            cursor.end()
            return tensor(np.zeros(count, dtype=np.int64))
        return tensor(unpack_fixed(cursor.rest(), width, count))

    def bound(self, symbols: Tensor) -> float:
        """Exactly what is spent, in bits."""
        found = whole(symbols)
        return 16 + found.size * (int(found.max()).bit_length() if found.size else 0)
