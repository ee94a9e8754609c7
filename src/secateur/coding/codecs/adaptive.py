"""Adaptive arithmetic coding: nothing is stored, the model is learnt while coding, and two contexts are mixed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from secateur.coding.arithmetic import BitCoder, Decoder, Encoder
from secateur.coding.codecs.base import codec, damaged, entropy, tensor, whole
from secateur.coding.mixing import Mixer
from secateur.core.contracts import Codec

_PRIORS = [1, 1]


@codec("adaptive")
@dataclass(frozen=True, kw_only=True)
class Adaptive(Codec):
    """For short streams, where a stored model would cost as much as it saves; slow for long ones.

    Formula: x + 1 in binary: its length in unary, then its digits, every bit coded with the chance that a mixture of
             two contexts gives it, the digits before it alone and together with the symbol before
    Shapes:  (n) whole numbers -> bytes
    Cost:    about 3 microseconds per bit of x; whole numbers only, so every machine reads what another wrote

    Example:
        >>> import torch
        >>> symbols = torch.tensor([7] * 1000)
        >>> len(Adaptive().encode(symbols)) < 16
        True
    """

    def encode(self, symbols: Tensor) -> bytes:
        """The bits."""
        coder = Encoder()
        Numbers().code(coder, whole(symbols).tolist())
        return coder.finish()

    def decode(self, content: bytes, count: int) -> Tensor:
        """Back again."""
        coder = Decoder(content)
        found = Numbers().code(coder, [0] * count)
        coder.finish()
        return tensor(np.array(found, dtype=np.int64))

    def bound(self, symbols: Tensor) -> float:
        """Entropy and a twentieth, 0.1 bits a symbol, and for each letter learning at 40 bits and 4 log2 n."""
        found = whole(symbols)
        return float(
            1.05 * entropy(found) + 0.1 * found.size + np.unique(found).size * (40 + 4 * np.log2(found.size + 1)) + 64
        )


class Numbers:
    """A model of whole numbers below 2^32 that learns."""

    def __init__(self) -> None:
        self._mixer = Mixer(0, 2, 33)
        self._known: dict[tuple[int, int, int], int] = {}

    def code(self, coder: BitCoder, numbers: list[int]) -> list[int]:
        """Code `numbers`, or as many."""
        before = 0
        out = []
        for number in numbers:
            found = self._one(coder, number, min(before, 30) + 1)
            out.append(found)
            before = found
        return out

    def _one(self, coder: BitCoder, number: int, before: int) -> int:
        number += 1
        length = number.bit_length() - 1
        found = 0
        while self._bit(coder, int(found < length), 0, found, before):
            found += 1
            if found > 32:
                raise damaged("a number is too large")
        prefix = 1
        for place in range(found - 1, -1, -1):
            prefix = prefix << 1 | self._bit(coder, number >> place & 1, found, prefix, before)
        return prefix - 1

    def _bit(self, coder: BitCoder, bit: int, length: int, prefix: int, before: int) -> int:
        contexts = [self._context((length, prefix, 0)), self._context((length, prefix, before))]
        return self._mixer.code(coder, bit, contexts, _PRIORS, length)

    def _context(self, key: tuple[int, int, int]) -> int:
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = len(self._known)
            self._mixer.grow(1)
        return found
