"""Reads Qt binary resource files (``.rcc``), in which GCompris keeps its photos.

The format: a 20-byte header (magic ``qres``, version, and the offsets of tree, data and names), a
tree of 14-byte nodes (22 bytes from version 2 on, which adds a time), names as UTF-16, and data
blocks led by their length. All integers are big-endian.
"""

import struct
import zlib
from collections.abc import Iterator

_ZLIB, _DIRECTORY, _ZSTD = 1, 2, 4


def files(blob: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields the path and the content of each file in a resource file.

    Args:
        blob: The whole ``.rcc`` file.

    Yields:
        Pairs of path (``a/b/c.webp``) and content. Zstandard-compressed entries are left out: Python
        3.11 cannot decode them, and formats that are compressed already, as photos are, never are.

    Raises:
        ValueError: The bytes are not a Qt resource file.
    """
    if blob[:4] != b"qres":
        raise ValueError("not a Qt binary resource file")
    version, tree, data, names = struct.unpack_from(">4I", blob, 4)
    node_bytes = 14 if version < 2 else 22

    def walk(index: int, parent: str) -> Iterator[tuple[str, bytes]]:
        node = tree + index * node_bytes
        name_at, flags = struct.unpack_from(">IH", blob, node)
        path = parent if index == 0 else f"{parent}/{_name(blob, names + name_at)}".lstrip("/")
        if flags & _DIRECTORY:
            count, first = struct.unpack_from(">II", blob, node + 6)
            for child in range(first, first + count):
                yield from walk(child, path)
        elif not flags & _ZSTD:
            (offset,) = struct.unpack_from(">I", blob, node + 10)
            (length,) = struct.unpack_from(">I", blob, data + offset)
            content = blob[data + offset + 4 : data + offset + 4 + length]
            # Qt puts four bytes, the unpacked length, before the zlib stream.
            yield path, zlib.decompress(content[4:]) if flags & _ZLIB else content

    yield from walk(0, "")


def _name(blob: bytes, at: int) -> str:
    (length,) = struct.unpack_from(">H", blob, at)
    return blob[at + 6 : at + 6 + 2 * length].decode("utf-16-be")
