"""A binary arithmetic coder: bits with given chances to bytes and back, in whole numbers only.

Chances are 16-bit: `chance / 65536` is the probability of a one. The range is 48 bits wide, so the loss against the
ideal code length is far below a byte; the end costs one or two bytes, and a decoder reads zeros past it.
"""

from __future__ import annotations

from math import log2
from typing import Protocol

from secateur.coding.codecs.base import damaged

_TOP = (1 << 48) - 1
_HIGH = 0xFF << 40
_MASK = (1 << 40) - 1


class BitCoder(Protocol):
    """Codes one bit after another; an encoder gives back the bit that it was given, a decoder the one that it read."""

    def code(self, bit: int, chance: int) -> int:
        """One bit; `chance` from 1 to 65535."""
        ...


class Encoder:
    """Bits to bytes."""

    def __init__(self) -> None:
        self._low, self._high = 0, _TOP
        self._out = bytearray()

    def code(self, bit: int, chance: int) -> int:
        """Write `bit`."""
        low, high = self._low, self._high
        middle = low + ((high - low) * chance >> 16)
        if bit:
            high = middle
        else:
            low = middle + 1
        while not (low ^ high) & _HIGH:
            self._out.append(high >> 40)
            low = (low & _MASK) << 8
            high = (high & _MASK) << 8 | 0xFF
        self._low, self._high = low, high
        return bit

    def finish(self) -> bytes:
        """All bytes: as few as tell the last range from all others, and no zeros at the end."""
        for length in range(7):
            shift = 48 - 8 * length
            last = -(-self._low >> shift) << shift
            if last <= self._high:
                break
        return bytes(self._out + (last >> shift).to_bytes(length, "big")).rstrip(b"\0")


class Decoder:
    """Bytes to bits.

    Raises:
        CodecError: in `code` and `finish`, if the bytes end too early or too late.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 6
        self._low, self._high = 0, _TOP
        self._value = int.from_bytes(content[:6].ljust(6, b"\0"), "big")

    def code(self, bit: int, chance: int) -> int:
        """Read a bit."""
        low, high = self._low, self._high
        middle = low + ((high - low) * chance >> 16)
        bit = int(self._value <= middle)
        if bit:
            high = middle
        else:
            low = middle + 1
        while not (low ^ high) & _HIGH:
            low = (low & _MASK) << 8
            high = (high & _MASK) << 8 | 0xFF
            following = self._content[self._at] if self._at < len(self._content) else 0
            self._value = (self._value & _MASK) << 8 | following
            self._at += 1
        self._low, self._high = low, high
        return bit

    def finish(self) -> None:
        """Make sure that the bytes are those that an encoder would have written, no more."""
        if self._content.endswith(b"\0") or len(self._content) > self._at:
            raise damaged("bytes are left over")


class Ideal:
    """Counts what an ideal coder would spend.

    Attributes:
        bits: the sum of -log2 of the chances of the bits that were coded.
    """

    def __init__(self) -> None:
        self.bits = 0.0

    def code(self, bit: int, chance: int) -> int:
        """Count `bit`."""
        self.bits -= log2((chance if bit else 65536 - chance) / 65536)
        return bit


class Both:
    """Encodes, and counts what an ideal coder would spend."""

    def __init__(self, encoder: Encoder, ideal: Ideal) -> None:
        self._encoder, self._ideal = encoder, ideal

    def code(self, bit: int, chance: int) -> int:
        """Write and count `bit`."""
        self._ideal.code(bit, chance)
        return self._encoder.code(bit, chance)
