"""One tensor to bytes and back, in the smallest of the forms that are tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secateur.coding.allowance import Allowance, affordable
from secateur.coding.arithmetic import Both, Decoder, Encoder, Ideal
from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.base import CODECS, Whole, damaged, entropy, tensor
from secateur.coding.codecs.range_ import available
from secateur.coding.density import density_from_bytes, density_to_bytes
from secateur.coding.dtypes import from_octets, octets_of
from secateur.coding.grid import Shape, code_grid
from secateur.coding.levels import MOST_LEVELS, levels_from_bytes, levels_to_bytes
from secateur.coding.live import Flags, Known, gather, live_from_bytes, live_to_bytes, scatter
from secateur.coding.planes import planes_from_bytes, planes_to_bytes
from secateur.coding.relative import best_bits, places, steps
from secateur.coding.split import KINDS, Split, outline, unfolded

#: Numbers of forms in files; never change one, only append.
FORMS = ("stored", "dense", "relative", "golomb_rice", "density", "mixed")
_CODECS = ("fixed", "huffman", "range", "adaptive")
#: The adaptive coder is tried on no more bits than this.
SLOW = 2**19
#: Where there are more levels than a few, contexts gain little over a range coder: fewer bits. Unless there are so many
#: cells to a survivor: there it is the places that cost, and contexts know most about them.
_FEW, _SHORT, _SPARSE = 16, 2**14, 4
#: Bits of the adaptive coder are read a hundred times as slowly as others. A file may hold so many in streams that are
#: not short, some seconds' worth; where more are wanted, those that save most for their bits have them.
PATIENCE = 2**21
#: In place of the dim of scales: each is shared by neighbours in a row.
_GROUPED = 255
#: Steps that a symbol of the adaptive codec is charged for.
_STEPS = 16


@dataclass(frozen=True, slots=True)
class Stream:
    """A tensor as bytes.

    Attributes:
        content: the bytes.
        form: how zeros are told from the rest, one of `FORMS`.
        codec: what writes the values.
        ideal: bytes that an ideal coder would spend under the same model, codebook and headers left out.
        steps: bits of the adaptive coder that reading takes, about.
    """

    content: bytes
    form: str
    codec: str
    ideal: float
    steps: int = 0


def streams_of(parts: Split, known: Known) -> tuple[Stream, Stream]:
    """The shortest stream that was found, and the shortest that is not slow to read; the same one, often."""
    if not parts.bits.size:
        empty = Stream(b"", "stored", "fixed", 0.0)
        return empty, empty
    allowed = [one for one in _candidates(parts, known) if affordable(one.steps, len(one.content))]
    return _shortest(allowed), _shortest([one for one in allowed if one.steps <= _SHORT] or allowed)


def chosen(pairs: Sequence[tuple[Stream, Stream]], patience: int = PATIENCE) -> list[Stream]:
    """Which of `streams_of` to write: the shorter ones, as far as slow bits go, where they save most bytes each.

    Args:
        pairs: for each tensor, the shortest stream and the shortest quick one.
        patience: slow bits that all may take together.
    """
    found = [quick for _, quick in pairs]

    def saved(place: int) -> float:
        short, quick = pairs[place]
        return (len(quick.content) - len(short.content)) / max(short.steps, 1)

    for place in sorted(range(len(pairs)), key=saved, reverse=True):
        short, quick = pairs[place]
        if short is not quick and short.steps <= patience:
            patience -= short.steps
            found[place] = short
    return found


def _shortest(streams: Sequence[Stream]) -> Stream:
    return min(streams, key=lambda one: len(one.content))


def forced(parts: Split, form: str, codec: str) -> bytes:
    """A stream of a form and a codec that are not chosen by size; for a codebook. `streams_of` is what to use."""
    names = (codec,)
    if form == "dense":
        return next(_whole(parts, _table(parts), names)).content
    if form == "relative":
        return _relative(parts, _table(parts), names).content
    head = bytes([FORMS.index(form) | KINDS.index(parts.kind) << 4])
    places_ = next(content for name, content, _ in _positions(parts, Known()) if name == form)
    return head + _table(parts) + places_ + _symbols(parts.codes[parts.mask] - 1, names)[0]


def tensor_of(
    content: bytes, dtype: torch.dtype, shape: tuple[int, ...], allowance: Allowance, known: Known
) -> tuple[Tensor, str, str]:
    """The tensor that a stream holds, and form and codec.

    Args:
        content: the stream.
        dtype: type of the tensor.
        shape: its shape; whoever calls has asked `allowance` about its entries.
        allowance: what steps are left.
        known: what the tensors before say.

    Raises:
        CodecError: the stream is damaged.
    """
    rows, columns = outline(shape)
    size = rows * columns
    if not size:
        Cursor(content).end()
        return from_octets(np.zeros(0, np.uint8), dtype, shape), "stored", "fixed"
    cursor = Cursor(content)
    head = cursor.byte()
    form, kind = head & 15, head >> 4
    if form >= len(FORMS) or kind >= len(KINDS):
        raise damaged(f"there is no form {head}")
    if FORMS[form] == "stored":
        if cursor.left != size * dtype.itemsize:
            raise damaged("a stored tensor has too few or too many bytes")
        return from_octets(np.frombuffer(cursor.rest(), np.uint8), dtype, shape), "stored", "fixed"
    reader = _Reader(cursor, dtype, shape, allowance, known)
    octets, codec = reader.bits(form) if KINDS[kind] == "bits" else reader.coded(form, KINDS[kind])
    cursor.end()
    return from_octets(octets, dtype, shape), FORMS[form], codec


def _candidates(parts: Split, known: Known) -> Iterator[Stream]:
    if parts.kind == "bits":
        yield from _candidates_of_bits(parts, known)
        return
    table = _table(parts)
    levels = int(parts.codes.max())
    worthwhile = levels <= _FEW or _SPARSE * int(parts.mask.sum()) <= _live(parts)
    if levels <= MOST_LEVELS and _bits_of(parts) <= (SLOW if worthwhile else _SHORT):
        yield from _mixed(parts, table, known)
    yield from _whole(parts, table)
    for form, places_, ideal in _positions(parts, known):
        head = bytes([FORMS.index(form) | KINDS.index(parts.kind) << 4])
        codes, codec, bits = _symbols(parts.codes[parts.mask] - 1)
        steps_ = _steps(parts, codec, int(parts.mask.sum()))
        yield Stream(head + table + places_ + codes, form, codec, (ideal + bits) / 8, steps_)
    if parts.mask.any():
        yield _relative(parts, table)


def _candidates_of_bits(parts: Split, known: Known) -> Iterator[Stream]:
    octets = octets_of(parts.bits, parts.itemsize)
    yield Stream(b"\0" + octets.tobytes(), "stored", "fixed", float(octets.size))
    kind = KINDS.index("bits") << 4
    content, bits = planes_to_bytes(octets, parts.itemsize)
    yield Stream(bytes([FORMS.index("dense") | kind]) + content, "dense", "planes", bits / 8)
    if int(parts.mask.sum()) < 0.95 * parts.bits.size:
        content, bits = planes_to_bytes(octets_of(parts.bits[parts.mask.ravel()], parts.itemsize), parts.itemsize)
        for form, places_, ideal in _positions(parts, known):
            head = bytes([FORMS.index(form) | kind])
            yield Stream(head + places_ + content, form, "planes", (ideal + bits) / 8, _steps(parts, "planes", 0))


def _table(parts: Split) -> bytes:
    if parts.levels is not None:
        return levels_to_bytes(parts.levels, 8 * parts.itemsize - 1)
    assert parts.scales is not None
    octets = np.ascontiguousarray(parts.scales).view(np.uint8)
    if parts.group:
        return bytes([_GROUPED]) + varint(parts.group) + planes_to_bytes(octets.ravel(), 4)[0]
    several = parts.scales.size > 1
    return bytes([parts.dim << 1 | several]) + (planes_to_bytes(octets, 4)[0] if several else octets.tobytes())


def _live(parts: Split) -> int:
    """Cells whose row and column hold anything."""
    return int(parts.mask.any(1).sum() * parts.mask.any(0).sum())


def _bits_of(parts: Split) -> int:
    """Bits that the adaptive coder would code."""
    return _live(parts) + int(parts.mask.sum()) * (int(parts.codes.max()) - 1).bit_length()


def _mixed(parts: Split, table: bytes, known: Known) -> Iterator[Stream]:
    """Mask and codes in one adaptive stream, as a picture and not."""
    head = bytes([FORMS.index("mixed") | KINDS.index(parts.kind) << 4])
    levels = int(parts.codes.max())
    for period in sorted({0, parts.period}) if levels else [0]:
        ideal, coder = Ideal(), Encoder()
        shape = Shape(parts.rows, parts.columns, levels, period)
        code_grid(Both(coder, ideal), parts.codes, shape, known=known)
        most = b"" if parts.kind == "codebook" else varint(levels)
        content = head + table + bytes([period]) + most + coder.finish()
        most_bits = parts.rows + parts.columns + shape.most_bits(_live(parts))
        yield Stream(content, "mixed", "adaptive", ideal.bits / 8, most_bits)


def _whole(parts: Split, table: bytes, names: Sequence[str] = _CODECS) -> Iterator[Stream]:
    """Zeros as symbols like others."""
    head = bytes([FORMS.index("dense") | KINDS.index(parts.kind) << 4])
    zeros = not parts.mask.all()
    codes, codec, bits = _symbols(parts.codes.ravel() - (not zeros), names)
    spent = _STEPS * parts.codes.size if codec == "adaptive" else 0
    yield Stream(head + table + bytes([zeros]) + codes, "dense", codec, bits / 8, spent)


def _relative(parts: Split, table: bytes, names: Sequence[str] = _CODECS) -> Stream:
    """Deep Compression's form: steps and values, fillers of value zero among them."""
    positions = np.flatnonzero(parts.mask)
    codes = parts.codes.ravel()[positions]
    bits = best_bits(positions, entropy(codes) / codes.size)
    found, leads = steps(positions, bits)
    values = np.where(leads < 0, 0, codes[leads])
    first, other, ideal = _symbols(found, names)
    second, codec, more = _symbols(values, names)
    spent = _STEPS * found.size * ((other == "adaptive") + (codec == "adaptive"))
    head = bytes([FORMS.index("relative") | KINDS.index(parts.kind) << 4])
    content = head + table + varint(found.size) + varint(len(first)) + first + second
    return Stream(content, "relative", codec, (ideal + more) / 8, spent)


def _positions(parts: Split, known: Known) -> Iterator[tuple[str, bytes, float]]:
    """Ways to say where a tensor is not zero: form, bytes, ideal bits."""
    live, rows, columns = live_to_bytes(parts.mask, known) if _reducible(parts) else (b"\0", None, None)
    left = parts.mask if rows is None or columns is None else gather(parts.mask, rows, columns)
    reduced = bytes([rows is not None]) + (live if rows is not None else b"")
    where = np.flatnonzero(left)
    if where.size:
        gaps = CODECS["golomb_rice"]().encode(tensor(np.diff(where, prepend=-1) - 1))
        content = reduced + varint(where.size) + varint(len(gaps)) + gaps
        yield "golomb_rice", content, 8.0 * len(gaps)
    if available() and left.size:
        cells = density_to_bytes(left)
        yield "density", reduced + varint(len(cells)) + cells, 8.0 * len(cells)


def _steps(parts: Split, codec: str, count: int) -> int:
    """Steps of flags, counts of a density, and codes."""
    return 9 * min(parts.rows + parts.columns, 2**16) + (_STEPS * count if codec == "adaptive" else 0)


def _reducible(parts: Split) -> bool:
    if parts.rows + parts.columns > 2**16 or parts.bits.size < 64:
        return False
    return not (parts.mask.any(1).all() and parts.mask.any(0).all())


def _symbols(symbols: Whole, names: Sequence[str] = _CODECS) -> tuple[bytes, str, float]:
    """Symbols by the codec that needs the fewest bytes: `(bytes, its name, ideal bits)`."""
    given = tensor(symbols)
    few = not symbols.size or int(symbols.max()) <= _FEW
    left_out = {"range": not available(), "adaptive": _STEPS * symbols.size > (SLOW if few else _SHORT)}
    names = [name for name in names if not left_out.get(name)]
    found = [(bytes([_CODECS.index(name)]) + CODECS[name]().encode(given), name) for name in names]
    content, name = min(found, key=lambda one: len(one[0]))
    return content, name, entropy(symbols)


class _Reader:
    """Reads one stream, front to back."""

    def __init__(
        self, cursor: Cursor, dtype: torch.dtype, shape: tuple[int, ...], allowance: Allowance, known: Known
    ) -> None:
        self._cursor, self._dtype, self._shape, self._allowance = cursor, dtype, shape, allowance
        self._known = known
        self._rows, self._columns = outline(shape)
        self._size = self._rows * self._columns

    def bits(self, form: int) -> tuple[NDArray[np.uint8], str]:
        """Bytes of a tensor that is stored as bits."""
        itemsize = self._dtype.itemsize
        if FORMS[form] == "dense":
            return planes_from_bytes(self._cursor, self._size, itemsize), "planes"
        mask = self._mask(form).ravel()
        found = np.zeros((self._size, itemsize), dtype=np.uint8)
        found[mask] = planes_from_bytes(self._cursor, int(mask.sum()), itemsize).reshape(-1, itemsize)
        return found.ravel(), "planes"

    def coded(self, form: int, kind: str) -> tuple[NDArray[np.uint8], str]:
        """Bytes of a tensor that is stored as codes."""
        read = self._levels() if kind == "codebook" else self._scales()
        codes, codec = self._codes(form, read.most)
        return read.octets(codes), codec

    def _levels(self) -> _Levels:
        itemsize = self._dtype.itemsize
        levels = levels_from_bytes(self._cursor, 8 * itemsize - 1)
        return _Levels(np.concatenate([np.zeros(1, np.uint64), levels]), itemsize)

    def _scales(self) -> _Scales:
        head = self._cursor.byte()
        if head == _GROUPED:
            return self._grouped()
        dim, several = head >> 1, head & 1
        if self._dtype != torch.float32 or (several and dim >= len(self._shape)) or (not several and dim):
            raise damaged("a grid does not fit its tensor")
        count = self._shape[dim] if several else 1
        octets = planes_from_bytes(self._cursor, count, 4) if several else np.frombuffer(self._cursor.take(4), np.uint8)
        along = [1] * len(self._shape)
        if several:
            along[dim] = -1
        return _Scales(np.ascontiguousarray(octets).view(np.float32).reshape(along), self._shape)

    def _grouped(self) -> _Scales:
        if self._dtype != torch.float32:
            raise damaged("a grid does not fit its tensor")
        rows = self._rows if len(self._shape) > 1 else 1
        length = self._size // rows
        group = self._cursor.whole(2**31)
        if not group:
            raise damaged("a group of a grid has no entries")
        groups = -(-length // group)
        per = np.ascontiguousarray(planes_from_bytes(self._cursor, rows * groups, 4)).view(np.float32)
        scales = np.repeat(per.reshape(rows, groups), min(group, length), 1)[:, :length]
        return _Scales(scales.reshape(self._shape), self._shape)

    def _codes(self, form: int, most: int | None) -> tuple[Whole, str]:
        readers: dict[str, Callable[[int | None], tuple[Whole, str]]] = {
            "dense": self._whole,
            "relative": self._relative,
            "mixed": self._mixed,
        }
        codes, codec = readers[FORMS[form]](most) if FORMS[form] in readers else self._placed(form)
        if codes.size and int(codes.max()) > (2**25 if most is None else most):
            raise damaged("a code is not in its codebook")
        return codes, codec

    def _whole(self, most: int | None) -> tuple[Whole, str]:
        zeros = self._cursor.byte()
        if zeros > 1:
            raise damaged("a flag is neither 0 nor 1")
        codes, codec = self._symbols(self._size, self._cursor.left)
        return codes + (1 - zeros), codec

    def _relative(self, most: int | None) -> tuple[Whole, str]:
        count = self._cursor.whole(self._size)
        found, _ = self._symbols(count, self._cursor.whole(self._cursor.left))
        values, codec = self._symbols(count, self._cursor.left)
        codes = np.zeros(self._size, dtype=np.int64)
        codes[places(found, self._size)] = values
        return codes, codec

    def _mixed(self, most: int | None) -> tuple[Whole, str]:
        period = self._cursor.byte()
        if period and period >= self._columns:
            raise damaged("a picture is wider than its tensor")
        levels = self._cursor.whole(MOST_LEVELS) if most is None else most
        self._allowance.spend_steps(self._rows + self._columns)
        coder = Decoder(self._cursor.rest())
        shape = Shape(self._rows, self._columns, levels, period)
        nothing = np.zeros((self._rows, self._columns), np.int64)
        codes = code_grid(coder, nothing, shape, known=self._known, spend=self._allowance.spend_steps)
        coder.finish()
        return codes.ravel(), "adaptive"

    def _placed(self, form: int) -> tuple[Whole, str]:
        mask = self._mask(form).ravel()
        codes = np.zeros(self._size, dtype=np.int64)
        values, codec = self._symbols(int(mask.sum()), self._cursor.left)
        codes[mask] = values + 1
        return codes, codec

    def _mask(self, form: int) -> Flags:
        reduced = self._cursor.byte()
        if reduced > 1 or FORMS[form] not in ("golomb_rice", "density"):
            raise damaged("this form has no mask")
        rows, columns = np.ones(self._rows, bool), np.ones(self._columns, bool)
        if reduced:
            self._allowance.spend_steps(self._rows + self._columns)
            rows, columns = live_from_bytes(self._cursor, self._rows, self._columns, self._known)
        shape = int(rows.sum()), int(columns.sum())
        if FORMS[form] == "density":
            self._allowance.spend_steps(8 * min(sum(shape), 2**15))
            left = density_from_bytes(self._cursor, shape, self._cursor.whole(self._cursor.left))
        else:
            left = self._gaps(shape)
        return scatter(left, rows, columns)

    def _gaps(self, shape: tuple[int, int]) -> Flags:
        size = shape[0] * shape[1]
        count = self._cursor.whole(size)
        content = self._cursor.take(self._cursor.whole(self._cursor.left))
        where = places(CODECS["golomb_rice"]().decode(content, count).numpy(), size)
        left = np.zeros(size, dtype=bool)
        left[where] = True
        return left.reshape(shape)

    def _symbols(self, count: int, length: int) -> tuple[Whole, str]:
        own = Cursor(self._cursor.take(length))
        number = own.byte()
        if number >= len(_CODECS):
            raise damaged(f"there is no codec {number}")
        name = _CODECS[number]
        if name == "adaptive":
            self._allowance.spend_steps(_STEPS * count)
        return CODECS[name]().decode(own.rest(), count).numpy(), name


@dataclass(frozen=True, slots=True, eq=False)
class _Levels:
    """Codes to bytes by a codebook."""

    patterns: NDArray[np.uint64]
    itemsize: int

    @property
    def most(self) -> int:
        """The highest code."""
        return int(self.patterns.size) - 1

    def octets(self, codes: Whole) -> NDArray[np.uint8]:
        """Bytes."""
        return octets_of(self.patterns[codes], self.itemsize)


@dataclass(frozen=True, slots=True, eq=False)
class _Scales:
    """Codes to bytes by scales."""

    scales: NDArray[np.float32]
    shape: tuple[int, ...]

    @property
    def most(self) -> None:
        """There is no highest code."""
        return

    def octets(self, codes: Whole) -> NDArray[np.uint8]:
        """Bytes."""
        with np.errstate(all="ignore"):
            values = unfolded(codes).astype(np.float32).reshape(self.shape) * self.scales
        return np.ascontiguousarray(values, dtype=np.float32).view(np.uint8).ravel()
