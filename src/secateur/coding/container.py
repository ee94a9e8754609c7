"""The `.sct` file: a short header, one stream per tensor, and seals.

    "SCT" and the schema, one byte      4 bytes
    length of the header, twice         varint deflated, varint plain
    header, deflated                    names; type and shape of every tensor, length of its stream; plan
    streams                             one after another; long ones end in a CRC-32 of their own
    seal                                8 bytes, the first of the SHA-256 of all before

Nothing in it is code, and nothing is allocated before it was held against an `Allowance`. A file is sealed as a whole;
streams from a kilobyte on are sealed by themselves too, so that tensors of a large file can be read one by one.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

import torch

from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.base import damaged
from secateur.coding.dtypes import DTYPES
from secateur.coding.planes import inflated
from secateur.core.errors import CodecError

MAGIC, SCHEMA = b"SCT", 1
SEAL = 8
#: Streams from this length on carry a checksum of their own.
_LONG = 1024
#: No header is longer; no tensor has more dims, or a dim of more entries.
_HEADER, _DIMS, _ENTRIES = 2**26, 15, 2**40
#: Names that most networks use: deflate starts from them.
_DICTIONARY = (
    b"num_batches_tracked\nrunning_mean\nrunning_var\nembeddings.downsample.attention.classifier.features.encoder.layers."
    b"blocks.norm.in_proj_out_proj.head.stem.layer1.0.bn1.weight\nbias\nconv1.weight\nconv1.bias\nconv2.weight\n"
    b"conv2.bias\nfc1.weight\nfc1.bias\nfc2.weight\nfc2.bias\nfc3.weight\nfc3.bias\n"
)


@dataclass(frozen=True, slots=True)
class Entry:
    """What the header says of one tensor.

    Attributes:
        name: its name.
        dtype: its type.
        shape: its shape.
        length: bytes of its stream, checksum included.
        alias: the name that it shares its memory with, or "": such have no stream.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    length: int
    alias: str = ""

    @property
    def entries(self) -> int:
        """How many entries it has."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Header:
    """What a file holds.

    Attributes:
        entries: every tensor, in order.
        plan: the plan of a shrunk network, as JSON, or "".
    """

    entries: tuple[Entry, ...]
    plan: str


def sealed(content: bytes) -> bytes:
    """A stream with a checksum, if it is long."""
    return content if len(content) < _LONG else content + zlib.crc32(content).to_bytes(4, "little")


def unsealed(content: bytes, name: str) -> bytes:
    """A stream without its checksum.

    Raises:
        CodecError: it does not fit.
    """
    if len(content) < _LONG:
        return content
    if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        raise CodecError(f"tensor {name!r} is damaged: its CRC-32 does not fit its content. Copy the file again.")
    return content[:-4]


def to_bytes(header: Header, streams: Iterable[bytes]) -> bytes:
    """A whole file, seal included; `streams` are sealed already."""
    plain = header_to_bytes(header)
    small = deflated(plain)
    head = MAGIC + bytes([SCHEMA]) + varint(len(small)) + varint(len(plain)) + small
    content = head + b"".join(streams)
    return content + hashlib.sha256(content).digest()[:SEAL]


def from_bytes(content: bytes, where: str) -> tuple[Header, Mapping[str, bytes]]:
    """Header and streams of a file whose seal fits.

    Args:
        content: the whole file.
        where: its name, for messages.

    Raises:
        CodecError: a byte is missing, too many or different, or it is not one of ours.
    """
    if content[:3] != MAGIC:
        raise CodecError(f"{where} is not an .sct file: it does not start with 'SCT'. Write it with secateur.pack().")
    if content[3:4] != bytes([SCHEMA]):
        raise CodecError(
            f"{where} is of schema {content[3:4].hex() or 'none'}, this version reads {SCHEMA}. "
            "Read it with the version of secateur that wrote it."
        )
    body, seal = content[:-SEAL], content[-SEAL:]
    if len(body) < 4 or hashlib.sha256(body).digest()[:SEAL] != seal:
        raise CodecError(f"{where} is damaged: its SHA-256 does not fit its content. Copy or write the file again.")
    cursor = Cursor(memoryview(body)[4:])
    length, plain = cursor.whole(cursor.left), cursor.whole(_HEADER)
    if plain > 1100 * length + 64:  # deflate cannot make more of it
        raise damaged("its header claims to be longer than it can be")
    header = _header_from_bytes(inflated(cursor.take(length), plain, _DICTIONARY))
    streams = {entry.name: cursor.take(entry.length) for entry in header.entries if not entry.alias}
    cursor.end()
    return header, streams


def deflated(plain: bytes) -> bytes:
    """A header as it stands in a file."""
    machine = zlib.compressobj(9, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, _DICTIONARY)
    return machine.compress(plain) + machine.flush()


def header_to_bytes(header: Header) -> bytes:
    """A header before it is deflated."""
    numbers = {entry.name: i for i, entry in enumerate(header.entries)}
    plan = header.plan.encode()
    out = [varint(len(header.entries)), varint(len(plan))]
    out += [entry.name.encode().replace(b"\\", b"\\\\").replace(b"\n", b"\\n") + b"\n" for entry in header.entries]
    for entry in header.entries:
        if entry.alias:
            out.append(b"\x0f" + varint(numbers[entry.alias]))
            continue
        if len(entry.shape) > _DIMS:
            raise damaged(f"tensor {entry.name!r} has more than {_DIMS} dims")
        out.append(bytes([DTYPES.index(entry.dtype) | len(entry.shape) << 4]))
        out += [varint(size) for size in (*entry.shape, entry.length)]
    return b"".join(out) + plan


def _header_from_bytes(content: bytes) -> Header:
    cursor = Cursor(content)
    count, plan = cursor.whole(len(content)), cursor.whole(len(content))
    names = _names(cursor, content, count)
    entries: list[Entry] = []
    for name in names:
        head = cursor.byte()
        if head == 15:
            number = cursor.whole(count - 1)
            if number >= len(entries) or entries[number].alias:
                raise damaged("a tied tensor comes before the one that it is tied to")
            original = entries[number]
            entries.append(Entry(name, original.dtype, original.shape, 0, original.name))
            continue
        if head & 15 >= len(DTYPES):
            raise damaged(f"there is no type {head & 15}")
        shape = tuple(cursor.whole(_ENTRIES) for _ in range(head >> 4))
        entries.append(Entry(name, DTYPES[head & 15], shape, cursor.whole(_ENTRIES)))
    text = _text(cursor.take(plan))
    cursor.end()
    return Header(tuple(entries), text)


def _names(cursor: Cursor, content: bytes, count: int) -> list[str]:
    start = len(content) - cursor.left
    lines = content[start:].split(b"\n", count)[:count]
    if len(lines) < count or sum(map(len, lines)) + count > cursor.left:
        raise damaged("names of tensors are missing")
    cursor.take(sum(map(len, lines)) + count)
    names = [_text(_plain(line)) for line in lines]
    if len(set(names)) != len(names):
        raise damaged("two tensors have one name")
    return names


def _plain(line: bytes) -> bytes:
    return b"\\".join(part.replace(b"\\n", b"\n") for part in line.split(b"\\\\"))


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise damaged("a text is not UTF-8") from error
