"""Bits and whole numbers in bytes, and a cursor that never reads past the end."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from secateur.coding.codecs.base import Whole, damaged

_CHUNK = 2**18


def varint(number: int) -> bytes:
    """Seven bits per byte, the lowest first; the highest bit says that more follow.

    Example:
        >>> varint(300).hex()
        'ac02'
    """
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Cursor:
    """Reads bytes from front to back; what is not there, or too large, is a `CodecError`."""

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = memoryview(content)
        self._at = 0

    @property
    def left(self) -> int:
        """Bytes not read yet."""
        return len(self._content) - self._at

    def take(self, length: int) -> bytes:
        """The next `length` bytes."""
        if length > self.left:
            raise damaged(f"it ends {length - self.left} bytes early")
        self._at += length
        return bytes(self._content[self._at - length : self._at])

    def byte(self) -> int:
        """The next byte."""
        return self.take(1)[0]

    def whole(self, most: int) -> int:
        """The next `varint`, at most `most`."""
        number, shift = 0, 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            if shift > 63:
                raise damaged("a number has too many digits")
        if number > most or (byte == 0 and shift > 7):
            raise damaged(f"a number is {number}, where at most {most} makes sense, or is written too long")
        return number

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(self.left)

    def end(self) -> None:
        """Make sure that nothing is left."""
        if self.left:
            raise damaged(f"{self.left} bytes are left over")


def pack_fixed(numbers: Whole, width: int) -> bytes:
    """Every number in `width` bits, the highest first."""
    shifts = np.arange(width - 1, -1, -1)
    parts = [
        ((numbers[i : i + _CHUNK, None] >> shifts) & 1).astype(np.uint8).ravel()
        for i in range(0, numbers.size, _CHUNK)
        if width
    ]
    return np.packbits(np.concatenate(parts)).tobytes() if parts else b""


def unpack_fixed(content: bytes, width: int, count: int) -> Whole:
    """`count` numbers of `width` bits; the bytes must be exactly as many as that takes, padded with zeros."""
    if len(content) != -(-width * count // 8):
        raise damaged(f"{count} numbers of {width} bits do not fill {len(content)} bytes")
    bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
    if bits[width * count :].any():
        raise damaged("its padding is not zero")
    found = np.zeros(count, dtype=np.int64)
    for place in range(width):
        found = (found << 1) | bits[place : width * count : width]
    return found


def pack_codes(codes: Whole, lengths: Whole) -> bytes:
    """Code words one after another, each in its own number of bits (at most 32)."""
    parts = []
    for i in range(0, codes.size, _CHUNK):
        code, length = codes[i : i + _CHUNK], lengths[i : i + _CHUNK]
        ends = np.cumsum(length)
        behind = np.repeat(ends, length) - 1 - np.arange(ends[-1])  # bits of the same word still to come
        parts.append(((np.repeat(code, length) >> behind) & 1).astype(np.uint8))
    return np.packbits(np.concatenate(parts)).tobytes() if parts else b""


def windows(content: bytes, start: int, count: int) -> NDArray[np.uint64]:
    """For `count` bit positions from `start`, a multiple of 8: the 32 bits there, zeros past the end."""
    first = start // 8
    octets = -(-count // 8)
    raw = np.zeros(octets + 4, dtype=np.uint64)
    given = np.frombuffer(content[first : first + octets + 4], dtype=np.uint8)
    raw[: given.size] = given
    wide = raw[:octets] << np.uint64(32)
    for place, shift in enumerate((24, 16, 8, 0), start=1):
        wide |= raw[place : octets + place] << np.uint64(shift)
    shifted = wide[:, None] >> (np.uint64(8) - np.arange(8, dtype=np.uint64))
    return (shifted & np.uint64(0xFFFFFFFF)).ravel()[:count]
