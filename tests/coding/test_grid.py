"""The coder of sparse matrices: lossless, below the entropy of the mask where there is structure, near it where not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from secateur.coding.arithmetic import Decoder, Encoder, Ideal
from secateur.coding.grid import Shape, code_grid


def coded(codes, levels, period=0):
    codes = np.asarray(codes, dtype=np.int64)
    shape = Shape(*codes.shape, levels, period)
    coder, ideal = Encoder(), Ideal()
    code_grid(coder, codes, shape)
    code_grid(ideal, codes, shape)
    content = coder.finish()
    assert 8 * len(content) <= ideal.bits + 16
    reader = Decoder(content)
    assert np.array_equal(code_grid(reader, np.zeros_like(codes), shape), codes)
    reader.finish()
    return len(content)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 9), st.integers(1, 30), st.integers(1, 9), st.integers(0, 6), st.integers(0, 2**32 - 1))
def test_round_trip(rows, columns, levels, period, seed):
    random = np.random.default_rng(seed)
    keep = random.random((rows, columns)) < random.random() ** 2
    coded(np.where(keep, random.integers(1, levels + 1, (rows, columns)), 0), levels, period)


def mask_bits(keep, size):
    return -(keep * np.log2(keep) + (1 - keep) * np.log2(1 - keep)) * size


def test_without_structure_it_costs_what_entropy_says():
    random = np.random.default_rng(0)
    codes = np.where(random.random((200, 200)) < 0.05, random.integers(1, 5, (200, 200)), 0)
    ideal = (mask_bits((codes > 0).mean(), codes.size) + 2 * (codes > 0).sum()) / 8
    assert coded(codes, 4) < 1.03 * ideal


def test_full_and_empty_columns_cost_less_than_entropy():
    random = np.random.default_rng(0)
    chances = np.exp(1.5 * random.standard_normal(200)) * 0.02
    codes = (random.random((200, 200)) < np.minimum(chances, 0.9)).astype(np.int64)
    assert coded(codes, 1) < 0.9 * mask_bits((codes > 0).mean(), codes.size) / 8


@pytest.mark.parametrize("dim", [0, 1])
def test_dead_rows_and_columns_cost_next_to_nothing(dim):
    """Sixty dead ones among a hundred: at most a bit each, in place of a cell's price for every entry."""
    random = np.random.default_rng(0)
    full = np.where(random.random((40, 40)) < 0.1, random.integers(1, 3, (40, 40)), 0)
    dead = np.sort(random.choice(100, 60, replace=False))
    wide = np.zeros((100, 40) if dim == 0 else (40, 100), dtype=np.int64)
    wide[tuple(np.delete(np.arange(100), dead) if d == dim else slice(None) for d in range(2))] = full
    assert coded(wide, 2) - coded(full, 2) <= 100 / 8 + 1


def test_nothing_costs_nothing():
    assert coded(np.zeros((1000, 500)), 0) <= 4


def test_pictures():
    """Rows that are pictures of 16 x 16, each with one patch, cost less where the coder knows the width."""
    random = np.random.default_rng(0)
    codes = np.zeros((60, 16, 16), dtype=np.int64)
    for row in codes:
        y, x = random.integers(0, 12, 2)
        row[y : y + 4, x : x + 4] = 1
    assert coded(codes.reshape(60, -1), 1, period=16) < 0.8 * coded(codes.reshape(60, -1), 1)
