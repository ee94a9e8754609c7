"""Huffman codes in canonical form, as Deep Compression uses them."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from secateur.coding.alphabet import alphabet_from_bytes, alphabet_to_bytes, repeated
from secateur.coding.bits import Cursor, pack_codes, pack_fixed, unpack_fixed, windows
from secateur.coding.codecs.base import Whole, codec, damaged, entropy, tensor, whole
from secateur.core.contracts import Codec
from secateur.core.paper import Paper

#: No code word is longer; counts that would ask for more are halved first.
LONGEST = 32
_WINDOW = 2**17


@codec("huffman")
@dataclass(frozen=True, kw_only=True)
class Huffman(Codec):
    """The best code that gives each symbol a whole number of bits.

    Paper:   Han, Mao, Dally, *Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and
             Huffman Coding*, ICLR 2016, Sec. 4. arXiv:1510.00149
    Formula: the two least frequent symbols are joined until one is left; a symbol's depth is the length of its word
    Shapes:  (n) whole numbers -> bytes
    Cost:    O(n + k log k) for k distinct symbols; decoding looks at every bit once, vectorised, then follows one chain
    Differs: the paper does not say how it stores the code; here it is canonical, so the lengths alone are stored

    Example:
        >>> import torch
        >>> data = Huffman().encode(torch.tensor([0, 0, 0, 1, 2]))
        >>> Huffman().decode(data, 5).tolist()
        [0, 0, 0, 1, 2]
    """

    paper: ClassVar[Paper | None] = Paper("han2016")

    def encode(self, symbols: Tensor) -> bytes:
        """Alphabet, lengths, words."""
        letters, places, counts = np.unique(whole(symbols), return_inverse=True, return_counts=True)
        lengths = code_lengths(counts)
        head = alphabet_to_bytes(letters)
        if letters.size < 2:
            return head
        words = canonical(lengths)
        return head + pack_fixed(lengths - 1, 5) + pack_codes(words[places], lengths[places])

    def decode(self, content: bytes, count: int) -> Tensor:
        """Back again."""
        cursor = Cursor(content)
        letters = alphabet_from_bytes(cursor, count)
        if letters.size < 2:
            return tensor(repeated(cursor, letters, count))
        lengths = unpack_fixed(cursor.take(-(-5 * letters.size // 8)), 5, letters.size) + 1
        if int((1 << (LONGEST - lengths)).sum()) != 1 << LONGEST:
            raise damaged("its code words are not a complete code")
        return tensor(letters[_follow(cursor.rest(), lengths, count)])

    def bound(self, symbols: Tensor) -> float:
        """Less than a bit per symbol over the entropy, and what alphabet and lengths cost, at most 45 bits a letter."""
        found = whole(symbols)
        return entropy(found) + found.size + 45 * np.unique(found).size + 32


def code_lengths(counts: Whole) -> Whole:
    """Length of every symbol's code word, at least 1, given how often each comes up (never zero).

    Example:
        >>> code_lengths(np.array([5, 1, 1])).tolist()
        [1, 2, 2]
    """
    counts = counts.astype(np.int64)
    while True:
        lengths = _depths(counts)
        if lengths.size == 0 or int(lengths.max()) <= LONGEST:
            return lengths
        counts = (counts + 1) // 2


def canonical(lengths: Whole) -> Whole:
    """Code words: counted upwards, shorter ones first, and among equals in the order of the symbols."""
    words = np.zeros(lengths.size, dtype=np.int64)
    word, before = 0, 0
    for place in np.argsort(lengths, kind="stable").tolist():
        word <<= int(lengths[place]) - before
        before = int(lengths[place])
        words[place] = word
        word += 1
    return words


def _depths(counts: Whole) -> Whole:
    size = counts.size
    heap = [(int(n), i) for i, n in enumerate(counts)]
    heapq.heapify(heap)
    parents: list[int] = [0] * max(2 * size - 1, 0)
    for node in range(size, 2 * size - 1):
        (a, left), (b, right) = heapq.heappop(heap), heapq.heappop(heap)
        parents[left] = parents[right] = node
        heapq.heappush(heap, (a + b, node))
    depths = [0] * len(parents)
    for node in range(2 * size - 3, -1, -1):  # a parent has a higher number than its children
        depths[node] = depths[parents[node]] + 1
    return np.array(depths[:size] if size > 1 else [1] * size, dtype=np.int64)


def _follow(content: bytes, lengths: Whole, count: int) -> Whole:
    """Numbers of the words in `content`: what word would start at each bit is asked of all bits at once."""
    order = np.argsort(lengths, kind="stable")
    starts = (canonical(lengths)[order] << (LONGEST - lengths[order])).astype(np.uint64)
    steps = lengths[order]
    total = 8 * len(content)
    found: list[Whole] = []
    at, missing = 0, count
    while missing:
        base = at & ~7
        here = windows(content, base, min(_WINDOW, total - base)) if base < total else np.zeros(0, np.uint64)
        which = np.searchsorted(starts, here, side="right") - 1
        chain, at = _chain(steps[which].tolist(), at - base, missing)
        if not chain:
            raise damaged("it ends before its last symbol")
        found.append(order[which[np.array(chain)]])
        missing -= len(chain)
        at += base
    if not 0 <= total - at < 8 or (at % 8 and content[-1] & (0xFF >> at % 8)):
        raise damaged("it does not end with its last symbol")
    return np.concatenate(found) if found else np.zeros(0, dtype=np.int64)


def _chain(steps: list[int], at: int, most: int) -> tuple[list[int], int]:
    chain: list[int] = []
    end = len(steps)
    while at < end and len(chain) < most:
        chain.append(at)
        at += steps[at]
    return chain, at
