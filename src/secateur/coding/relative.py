"""Relative index: how far it is to the next survivor, in a fixed number of bits, with filler zeros where it is too far.

Deep Compression's way to say where the surviving weights are (Han, Mao, Dally, ICLR 2016, Sec. 2, Fig. 2). With b bits
a step says that 0 to m - 1 zeros come first, m = 2^b; a run of m zeros costs an entry of its own, whose value is zero.
"""

from __future__ import annotations

import numpy as np

from secateur.coding.codecs.base import Whole, damaged


def steps(positions: Whole, bits: int) -> tuple[Whole, Whole]:
    """Steps with fillers.

    Args:
        positions: where survivors are, rising.
        bits: b.

    Returns:
        The steps, each below 2^b, and for every step which survivor it leads to, -1 for fillers.

    Example:
        >>> steps(np.array([1, 10]), 2)  # eight zeros between them: two fillers of four each
        (array([1, 3, 3, 0]), array([ 0, -1, -1,  1]))
    """
    run = np.diff(positions, prepend=-1) - 1
    fillers = run >> bits
    ends = np.cumsum(fillers + 1) - 1
    size = int(ends[-1]) + 1 if ends.size else 0
    found = np.full(size, (1 << bits) - 1, dtype=np.int64)
    leads = np.full(size, -1, dtype=np.int64)
    found[ends] = run & ((1 << bits) - 1)
    leads[ends] = np.arange(positions.size)
    return found, leads


def places(found: Whole, size: int) -> Whole:
    """Where each step leads, fillers too.

    Raises:
        CodecError: past the end of a tensor of `size` entries.
    """
    where = np.cumsum(found + 1) - 1
    if where.size and int(where[-1]) >= size:
        raise damaged("a step leads past the end of a tensor")
    return where


def best_bits(positions: Whole, value_bits: float) -> int:
    """The b for which steps and values of `value_bits`, fillers included, take the fewest bits before Huffman."""
    run = np.diff(positions, prepend=-1) - 1
    return min(range(1, 25), key=lambda b: float((run >> b).sum() + run.size) * (b + value_bits))


def expected_fillers(keep: float, bits: int) -> float:
    """Fillers per survivor if each weight survives with probability `keep`: q^m / (1 - q^m), q = 1 - keep, m = 2^b."""
    share = float((1 - keep) ** (1 << bits))
    return share / (1 - share)
