"""The paper's relative index against its own figure, brute force, and the expected number of fillers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from secateur.coding.relative import best_bits, expected_fillers, places, steps
from secateur.core.errors import CodecError


@given(st.sets(st.integers(0, 3000), max_size=60), st.integers(1, 12))
def test_round_trip(positions, bits):
    where = np.array(sorted(positions), dtype=np.int64)
    found, leads = steps(where, bits)
    assert ((found >= 0) & (found < 1 << bits)).all()
    assert places(found, 3001)[leads >= 0].tolist() == where.tolist()
    assert leads[leads >= 0].tolist() == list(range(where.size))


def by_brute_force(where, bits):
    """Walk over every entry and count zeros, as a reader of the format would write it down."""
    out, zeros = [], 0
    for entry in range(max(where) + 1):
        if entry in where or zeros == (1 << bits) - 1:
            out.append(zeros)
            zeros = 0
        else:
            zeros += 1
    return out


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_steps_are_those_of_a_walk(bits):
    where = sorted(np.random.default_rng(bits).choice(400, 25, replace=False).tolist())
    assert steps(np.array(where), bits)[0].tolist() == by_brute_force(where, bits)


def test_figure_of_the_paper():
    """Han et al. 2016, Fig. 2: survivors at 1, 4 and 15 with 3 bits; the step of eleven takes a filler."""
    found, leads = steps(np.array([1, 4, 15]), 3)
    assert (leads < 0).tolist() == [False, False, True, False]
    assert places(found, 16).tolist() == [1, 4, 12, 15]


@pytest.mark.parametrize(("keep", "bits"), [(0.08, 5), (0.05, 5), (0.02, 7), (0.01, 8), (0.05, 3)])
def test_expected_fillers(keep, bits):
    mask = np.random.default_rng(0).random(2_000_000) < keep
    found, leads = steps(np.flatnonzero(mask), bits)
    assert (leads < 0).sum() / mask.sum() == pytest.approx(expected_fillers(keep, bits), rel=0.03, abs=2e-3)
    assert found.size == leads.size


@pytest.mark.parametrize(
    ("keep", "bits", "price"), [(0.08, 4, 12.2), (0.08, 5, 10.75), (0.05, 6, 11.4), (0.02, 7, 13.0), (0.01, 8, 14.1)]
)
def test_bits_per_survivor(keep, bits, price):
    """The figures that follow from the formula for values of 5 bits."""
    assert (bits + 5) * (1 + expected_fillers(keep, bits)) == pytest.approx(price, abs=0.06)


def test_best_bits_follow_sparsity():
    random = np.random.default_rng(0)
    found = [best_bits(np.flatnonzero(random.random(200_000) < keep), 5) for keep in (0.08, 0.02, 0.0036)]
    assert found == [5, 7, 10] or found == [5, 7, 9]


def test_a_step_past_the_end():
    with pytest.raises(CodecError, match="past the end"):
        places(np.array([3, 3]), 7)
