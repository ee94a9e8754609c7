"""Numbers as they are: their bytes, one plane per place, entropy-coded where that pays."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.base import CODECS, damaged, entropy, tensor
from secateur.coding.codecs.range_ import available

_STORED, _DEFLATE, _HUFFMAN, _RANGE = range(4)
_NAMES = {_HUFFMAN: "huffman", _RANGE: "range"}


def planes_to_bytes(octets: NDArray[np.uint8], itemsize: int) -> tuple[bytes, float]:
    """All planes of numbers of `itemsize` bytes each, and the bits that an ideal coder would spend on them."""
    ideal = 0.0
    out = b""
    for place in range(itemsize):
        plane = octets[place::itemsize]
        bits = entropy(plane)
        ideal += bits
        method, content = _plane(plane, bits)
        out += bytes([method]) + varint(len(content)) + content
    return out, ideal


def planes_from_bytes(cursor: Cursor, count: int, itemsize: int) -> NDArray[np.uint8]:
    """Bytes of `count` numbers."""
    octets = np.zeros((count, itemsize), dtype=np.uint8)
    for place in range(itemsize):
        method = cursor.byte()
        octets[:, place] = _decoded(method, cursor.take(cursor.whole(cursor.left)), count)
    return octets.ravel()


def _plane(plane: NDArray[np.uint8], bits: float) -> tuple[int, bytes]:
    raw = plane.tobytes()
    candidates = [(_STORED, raw)]
    if bits < 0.98 * 8 * plane.size and plane.size:
        method = _RANGE if available() else _HUFFMAN
        candidates.append((method, CODECS[_NAMES[method]]().encode(tensor(plane))))
        if plane.size <= 2**20:
            candidates.append((_HUFFMAN, CODECS["huffman"]().encode(tensor(plane))))
            candidates.append((_DEFLATE, zlib.compress(raw, 9, -15)))
    return min(candidates, key=lambda one: len(one[1]))


def _decoded(method: int, content: bytes, count: int) -> Any:
    if method == _STORED:
        raw = content
    elif method == _DEFLATE:
        raw = inflated(content, count)
    elif method in _NAMES:
        found = CODECS[_NAMES[method]]().decode(content, count).numpy()
        if found.size and int(found.max()) > 255:
            raise damaged("a byte is larger than 255")
        return found.astype(np.uint8)
    else:
        raise damaged(f"there is no way {method} to write bytes")
    if len(raw) != count:
        raise damaged(f"a plane has {len(raw)} bytes, not {count}")
    return np.frombuffer(raw, dtype=np.uint8)


def inflated(content: bytes, size: int, dictionary: bytes = b"") -> bytes:
    """Deflated bytes, at most `size` of them, whatever the stream claims."""
    machine = zlib.decompressobj(-15, zdict=dictionary)
    try:
        raw = machine.decompress(content, size + 1)
    except zlib.error as error:
        raise damaged(f"deflated bytes cannot be read ({error})") from error
    if len(raw) > size or not machine.eof or machine.unused_data:
        raise damaged("deflated bytes end too early or too late")
    return raw
