"""Huffman against brute force over all codes, the paper's formula by hand, and entropy."""

from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.coding.codecs.base import entropy
from secateur.coding.codecs.huffman import LONGEST, Huffman, canonical, code_lengths


@pytest.mark.parametrize(
    "counts", [(1, 1), (5, 1, 1), (1, 2, 3, 4), (7, 7, 1, 1, 1), (1, 1, 1, 1, 1), (100, 30, 20, 9, 3)]
)
def test_no_prefix_code_is_shorter(counts):
    """Of all lengths that a prefix code can have (Kraft: sum 2^-l <= 1), none costs less."""
    possible = (ls for ls in product(range(1, 6), repeat=len(counts)) if sum(2.0**-x for x in ls) <= 1)
    best = min(sum(n * x for n, x in zip(counts, ls, strict=True)) for ls in possible)
    lengths = code_lengths(np.array(counts))
    assert int((lengths * np.array(counts)).sum()) == best
    assert sum(2.0 ** -int(x) for x in lengths) == 1


def test_example_by_hand():
    """Counts 8 4 2 1 1 join as (1 1) (2 2) (4 4) (8 8): words 0, 10, 110, 1110, 1111."""
    lengths = code_lengths(np.array([8, 4, 2, 1, 1]))
    assert lengths.tolist() == [1, 2, 3, 4, 4]
    assert canonical(lengths).tolist() == [0b0, 0b10, 0b110, 0b1110, 0b1111]
    assert canonical(np.array([2, 1, 2])).tolist() == [0b10, 0b0, 0b11]


def test_bytes_by_hand():
    """Alphabet 0 1 2 is a run of three: 7. Lengths less one, 0 1 1 in five bits each; words 0 0 0 10 11."""
    assert Huffman().encode(torch.tensor([0, 0, 0, 1, 2])).hex() == "07" + "0042" + "16"


def test_lengths_stay_within_a_word():
    counts = [1, 1]
    while len(counts) < 60:
        counts.append(counts[-1] + counts[-2])  # Fibonacci: the deepest tree there is
    lengths = code_lengths(np.array(counts))
    assert lengths.max() <= LONGEST
    assert int((1 << (LONGEST - lengths)).sum()) == 1 << LONGEST


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 2**32 - 1), max_size=200) | st.lists(st.integers(0, 5), max_size=2000))
def test_round_trip(symbols):
    given_ = torch.tensor(symbols, dtype=torch.long)
    assert Huffman().decode(Huffman().encode(given_), len(symbols)).tolist() == symbols


def test_a_million_symbols_within_a_bit_of_entropy():
    symbols = np.random.default_rng(0).geometric(0.3, 10**6)
    content = Huffman().encode(torch.from_numpy(symbols))
    assert entropy(symbols) <= 8 * len(content) <= 1.03 * entropy(symbols)
    assert np.array_equal(Huffman().decode(content, symbols.size).numpy(), symbols)
