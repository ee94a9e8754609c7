"""Dynamic programming against all choices."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.search.toy import Toy
from torch import nn

import secateur
from secateur.allocation import SPDY, Uniform
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel
from secateur.planning import prepare


def scores(values, scope=Scope.GLOBAL):
    return Scores({n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()}, Channel(), "by hand", scope)


def lost(values, counts):
    """The sum of the scores of what goes, worst first, without the library."""
    return sum(sum(sorted(v)[: len(v) - counts[n]]) for n, v in values.items())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(st.floats(0, 5, allow_subnormal=False), min_size=1, max_size=5), st.integers(1, 6)),
        min_size=1,
        max_size=4,
    ),
    st.floats(0.2, 1),
)
def test_the_best_there_is(blocks, keep):
    """Costs that add up to whole numbers: no choice that fits loses less."""
    values = {str(n): v for n, (v, _) in enumerate(blocks)}
    toy = Toy({n: len(v) for n, v in values.items()}, {str(n): p for n, (_, p) in enumerate(blocks)}, {}, keep)
    every = toy.every()
    if not every:
        return
    counts = SPDY().counts(scores(values), toy)
    assert toy.fits(counts)
    assert lost(values, counts) == pytest.approx(min(lost(values, one) for one in every), abs=1e-9)


def test_by_hand():
    """Three units of room: the dear block with one large score, or the cheap one with three small ones."""
    values = {"a": [0.4, 0.4, 0.4, 9.0], "b": [1.0, 9.0]}
    toy = Toy({"a": 4, "b": 2}, {"a": 1, "b": 3}, {}, 7 / 10)  # 10 in all, 4 at least, 3 to spend
    assert SPDY().counts(scores(values), toy) == {"a": 4, "b": 1}  # saves 1.2 and not 1.0
    values["b"][0] = 1.3
    assert SPDY().counts(scores(values), toy) == {"a": 1, "b": 2}


def test_table():
    """Measured losses overrule scores, and points between are on lines."""
    toy = Toy({"a": 4, "b": 4}, {"a": 1, "b": 1}, {}, 5 / 8)
    flat = {"a": [1.0] * 4, "b": [1.0] * 4}
    how = SPDY(table=(("a", ((1.0, 0.0), (0.5, 0.1), (0.0, 4.1))),))  # a: 0, .05, .1, 2.1; b: 0, 1, 2, 3
    assert how.counts(scores(flat), toy) == {"a": 2, "b": 3}


def test_products_of_widths():
    """Multiply-accumulates do not add up over blocks; still hardly any choice that fits loses less, and it fits."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(4, 7), nn.ReLU(), nn.Linear(7, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2)
    )
    graph = secateur.trace(net, torch.zeros(1, 4))
    rng = torch.Generator().manual_seed(0)
    better = 0
    for keep in (0.3, 0.5, 0.7):
        values = {n: (torch.rand(g.units, generator=rng) * 3).tolist() for n, g in graph.cuttable.items()}
        choices = prepare(graph, scores(values), Budget(keep, "macs")).choices
        counts = SPDY().counts(scores(values), choices)
        assert choices.fits(counts)
        every = [dict(zip(values, c, strict=True)) for c in product(*(range(1, len(v) + 1) for v in values.values()))]
        fitting = sorted(lost(values, one) for one in every if choices.fits(one))
        found = lost(values, counts)
        assert found <= fitting[len(fitting) // 100]
        better += found < lost(values, Uniform().counts(scores(values), choices)) - 1e-9
    assert better == 3


def test_scores_that_do_not_add_up():
    toy = Toy({"a": 2}, {"a": 1}, {}, 0.5)
    with pytest.raises(IncompatibleError, match="do not add up over blocks"):
        SPDY().counts(scores({"a": [1.0, 2.0]}, Scope.GROUP), toy)
    assert SPDY(normalize="max").counts(scores({"a": [1.0, 2.0]}, Scope.GROUP), toy) == {"a": 1}
    with pytest.raises(IncompatibleError, match="levels and bins"):
        SPDY(levels=1)
