"""Range coding of large streams by the constriction library, with a stored or an adaptive model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor

from secateur.coding.alphabet import alphabet_from_bytes, alphabet_to_bytes, repeated
from secateur.coding.bits import Cursor, varint
from secateur.coding.codecs.base import Whole, codec, damaged, entropy, tensor, whole
from secateur.core.contracts import Codec
from secateur.core.errors import UnsupportedError

_FIRST, _GROWTH = 64, 4
_WORD = np.dtype("<u4")


@codec("range")
@dataclass(frozen=True, kw_only=True)
class Range(Codec):
    """Fractions of bits: within a hair of the entropy for streams of millions, at the speed of compiled code.

    Needs `pip install 'secateur[coding]'`, for writing and for reading.

    Formula: bits = - sum log2 p(symbol); p from stored counts, or from those of all blocks before (plus one half)
    Shapes:  (n) whole numbers -> bytes
    Cost:    O(n) in compiled code
    Differs: probabilities are quotients of whole numbers in float64, which every machine rounds alike

    Attributes:
        adaptive: learn the model while coding, in blocks that grow by a quarter, instead of storing it.

    Example:
        >>> import torch
        >>> symbols = torch.arange(1000) % 3
        >>> Range().decode(Range().encode(symbols), 1000).equal(symbols)
        True
    """

    adaptive: bool = False

    @classmethod
    def examples(cls) -> list[Range]:
        """Both models."""
        return [cls(), cls(adaptive=True)]

    def encode(self, symbols: Tensor) -> bytes:
        """Alphabet, counts, and what the library made of the rest."""
        letters, places, counts = np.unique(whole(symbols), return_inverse=True, return_counts=True)
        head = alphabet_to_bytes(letters)
        if letters.size < 2:
            return head
        stored = None if self.adaptive else _scaled(counts)
        coder = stream().queue.RangeEncoder()
        for start, stop, known in _blocks(places, letters.size, stored):
            coder.encode(places[start:stop].astype(np.int32), _model(known))
        return head + (b"" if stored is None else b"".join(varint(int(n)) for n in stored)) + words_to_bytes(coder)

    def decode(self, content: bytes, count: int) -> Tensor:
        """Back again."""
        cursor = Cursor(content)
        letters = alphabet_from_bytes(cursor, count)
        if letters.size < 2:
            return tensor(repeated(cursor, letters, count))
        stored = None if self.adaptive else np.array([cursor.whole(2**20) for _ in range(letters.size)], dtype=np.int64)
        if stored is not None and int(stored.min()) < 1:
            raise damaged("a symbol never comes up")
        coder = words_from_bytes(cursor.rest())
        places = np.zeros(count, dtype=np.int64)
        for start, stop, known in _blocks(places, letters.size, stored):
            places[start:stop] = decoded(coder, _model(known), stop - start)
        return tensor(letters[places])

    def bound(self, symbols: Tensor) -> float:
        """Entropy and one in a thousand, and 64 bits a letter.

        An adaptive model comes close where symbols are alike throughout. It knows nothing of a symbol that first comes
        up late, so all that can be promised is log2(2 n + k) bits for each of n symbols of k letters.
        """
        found = whole(symbols)
        size = np.unique(found).size
        if self.adaptive and size > 1:
            return float(found.size * np.log2(2 * found.size + size) + 64 * size + 96)
        return float(1.001 * entropy(found) + 64 * size + 96)


@cache
def stream() -> Any:
    """The library.

    Raises:
        UnsupportedError: it is not installed.
    """
    try:
        import constriction  # noqa: PLC0415  an extra
    except ImportError as error:
        raise UnsupportedError(
            "the codec 'range' needs the constriction library. Run: pip install 'secateur[coding]'."
        ) from error
    return constriction.stream


def available() -> bool:
    """Whether the library is there."""
    try:
        stream()
    except UnsupportedError:
        return False
    return True


def words_to_bytes(coder: Any) -> bytes:
    """What an encoder holds; zero bytes at the end go without saying."""
    return bytes(coder.get_compressed().astype(_WORD).tobytes()).rstrip(b"\0")


def words_from_bytes(content: bytes) -> Any:
    """A decoder."""
    if content.endswith(b"\0"):
        raise damaged("it ends in zeros, which are never written")
    padded = content + b"\0" * (-len(content) % 4)
    return stream().queue.RangeDecoder(np.frombuffer(padded, dtype=_WORD).astype(np.uint32))


def decoded(coder: Any, model: Any, *given: Any) -> np.ndarray:
    """The next symbols."""
    try:
        return np.asarray(coder.decode(model, *given))
    except (AssertionError, ValueError) as error:
        raise damaged("its bits do not fit its model") from error


def _model(counts: Whole) -> Any:
    return stream().model.Categorical(counts / counts.sum(), perfect=False)


def _scaled(counts: Whole) -> Whole:
    """Counts small enough to be stored cheaply, none of them zero."""
    most = min(int(counts.max()), 2**16)
    return np.maximum(1, (counts * most + int(counts.max()) // 2) // int(counts.max()))


def _blocks(places: Whole, size: int, stored: Whole | None) -> Any:
    """Where each block starts and stops, and the counts to code it by; later blocks read what earlier ones left."""
    if stored is not None:
        yield 0, places.size, stored
        return
    counts = np.ones(size, dtype=np.int64)
    start = 0
    while start < places.size:
        stop = min(places.size, start + max(_FIRST, start // _GROWTH))
        yield start, stop, counts
        counts = counts + 2 * np.bincount(places[start:stop], minlength=size)
        start = stop
