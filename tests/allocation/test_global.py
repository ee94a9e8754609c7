import pytest
import torch

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel
from secateur.planning.limits import Choices
from secateur.testing import case as cases


def counts(values, keep, normalize="none", comparable=Scope.GLOBAL, widths=(6, 4)):
    graph = cases.normed(*widths).graph
    blocks = {b.name: b for b in Channel().blocks(graph)}
    limits = Choices(graph, Budget(keep, "units"), blocks, {}, {n: b.units for n, b in blocks.items()})
    scores = Scores({n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()}, Channel(), "s", comparable)
    return dict(Global(normalize=normalize).counts(scores, limits))


DISTINCT = {"0": [10.0, 9, 8, 1, 2, 3], "3": [7.0, 6, 5, 4]}


def test_the_best_of_the_whole_network_stay():
    assert counts(DISTINCT, 0.3) == {"0": 2, "3": 1}  # 10 9 8, but the second block may not be emptied
    assert counts(DISTINCT, 0.4) == {"0": 3, "3": 1}
    assert counts(DISTINCT, 0.7) == {"0": 3, "3": 4}
    assert counts(DISTINCT, 0.8) == {"0": 4, "3": 4}


def test_against_brute_force_when_every_block_has_its_minimum():
    """With distinct scores and a budget in units the kept ones are the top k, one of each block at least."""
    every = sorted((v, n) for n, values in DISTINCT.items() for v in values)[::-1]
    for total in range(2, 11):
        top = [n for _, n in every[:total]]
        wanted = {n: top.count(n) for n in DISTINCT}
        if min(wanted.values()) >= 1:
            assert counts(DISTINCT, total / 10) == wanted


@pytest.mark.parametrize("normalize", ["none", "mean", "max"])
def test_constant_scores_are_cut_uniformly(normalize):
    """The documented answer: among equals every block keeps the same share."""
    constant = {"0": [1.0] * 6, "3": [1.0] * 4}
    assert counts(constant, 0.5, normalize) == {"0": 3, "3": 2}
    assert counts(constant, 1.0, normalize) == {"0": 6, "3": 4}
    assert counts(constant, 0.2, normalize) == {"0": 1, "3": 1}


def test_many_best_units_are_no_excuse():
    """Ties at the very top must not blow the budget."""
    assert sum(counts({"0": [9.0] * 6, "3": [9.0, 1, 1, 1]}, 0.4).values()) == 4


def test_all_zero_scores():
    assert counts({"0": [0.0] * 6, "3": [0.0] * 4}, 0.5, "mean") == {"0": 3, "3": 2}


def test_units_that_are_gone_already_rank_last():
    gone = float("-inf")
    for normalize in ("mean", "max"):
        found = counts({"0": [gone, 1.0, gone, 1.0, 1.0, gone], "3": [1.0, 1.0, gone, gone]}, 0.5, normalize)
        assert found == {"0": 3, "3": 2}


def test_normalising_makes_scales_comparable():
    far = {"0": [600.0, 500, 400, 300, 200, 100], "3": [0.4, 0.3, 0.2, 0.1]}
    assert counts(far, 0.5) == {"0": 4, "3": 1}
    # divided by their maxima: 1, .83, .67, .5, .33, .17 and 1, .75, .5, .25: five best
    assert counts(far, 0.5, "max") == {"0": 3, "3": 2}
    # divided by their means 350 and 0.25: 1.71 1.43 1.14 .86 .57 .29 and 1.6 1.2 .8 .4
    assert counts(far, 0.5, "mean") == {"0": 3, "3": 2}


def test_scores_of_one_block_are_not_ranked_over_the_network():
    with pytest.raises(IncompatibleError, match='normalize="mean"'):
        counts(DISTINCT, 0.5, comparable=Scope.GROUP)
    assert counts(DISTINCT, 0.5, "mean", comparable=Scope.GROUP)


def test_unknown_normaliser():
    with pytest.raises(IncompatibleError, match="'none', 'mean' or 'max'"):
        Global(normalize="median")
