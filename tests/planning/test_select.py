import torch
from hypothesis import given
from hypothesis import strategies as st

from secateur.planning.select import select


def test_by_hand():
    assert select(torch.tensor([3.0, 1.0, 2.0]), 2).tolist() == [True, False, True]
    assert select(torch.tensor([1.0, 2.0, 1.0, 1.0]), 2).tolist() == [True, True, False, False]
    assert select(torch.tensor([float("-inf"), 0.0]), 1).tolist() == [False, True]


def test_runs_are_ranked_by_themselves():
    values = torch.tensor([4.0, 3.0, 2.0, 1.0, 40.0, 10.0, 20.0, 30.0])
    assert select(values, 4, run=4).tolist() == [True, True, False, False, True, False, False, True]
    assert select(values, 4, run=2).tolist() == [True, False] * 3 + [False, True]
    assert select(torch.zeros(6), 4, run=3).tolist() == [True, True, False] * 2


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.data())
def test_best_first_then_lower_numbers(values, data):
    count = data.draw(st.integers(0, len(values)))
    order = sorted(range(len(values)), key=lambda unit: (-values[unit], unit))
    assert set(select(torch.tensor(values, dtype=torch.float64), count).nonzero().flatten().tolist()) == set(
        order[:count]
    )


def test_ties_in_long_vectors():
    """Unstable sorts keep short vectors in order; long ones tell."""
    assert select(torch.zeros(5000), 2000).tolist() == [True] * 2000 + [False] * 3000
