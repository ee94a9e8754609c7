"""Shares read off curves, by hand."""

import pytest
import torch
from tests.search.toy import Toy

from secateur.allocation import Sensitivity, Uniform
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel


def counts(how, units, keep, price=None):
    toy = Toy(units, price or dict.fromkeys(units, 1), {}, keep)
    return how.counts(Scores({n: torch.ones(u) for n, u in units.items()}, Channel(), "", Scope.GROUP), toy)


def test_same_loss_everywhere():
    """Two lines, one four times as steep: what goes is in proportion 4 to 1, the loss of both the same."""
    how = Sensitivity(curves=(("a", ((0.0, 0.4),)), ("b", ((0.0, 0.1),))))
    assert counts(how, {"a": 100, "b": 100}, 0.5) == {"a": 80, "b": 20}


def test_a_kink():
    """Nothing is lost down to a half: that is taken first, then what is steep from there on resists."""
    how = Sensitivity(curves=(("a", ((0.5, 0.0), (0.25, 1.0))), ("b", ((0.5, 0.5), (0.25, 1.0)))))
    found = counts(how, {"a": 100, "b": 100}, 0.75)
    assert found["a"] in (50, 51) and found["b"] == 150 - found["a"]
    assert counts(how, {"a": 100, "b": 100}, 0.5) == {"a": 40, "b": 60}  # 4 * 0.1 = 1 * 0.4


def test_a_curve_that_comes_down_again():
    """A block that is better with less is not cut on that account: the largest loss before counts."""
    dip = Sensitivity(curves=(("a", ((0.5, 0.4), (0.25, -1.0), (0.0, 0.4))), ("b", ((0.5, 0.4), (0.0, 0.4)))))
    assert counts(dip, {"a": 100, "b": 100}, 0.75) == {"a": 75, "b": 75}


def test_without_curves_it_is_uniform():
    units = {"a": 8, "b": 16}
    flat = Scores({n: torch.ones(u) for n, u in units.items()}, Channel(), "", Scope.GROUP)
    assert counts(Sensitivity(), units, 0.5) == Uniform().counts(flat, Toy(units, {"a": 1, "b": 1}, {}, 0.5))


def test_curves_are_checked():
    with pytest.raises(IncompatibleError, match="others for a, b"):
        Sensitivity(curves=(("a", ()), ("b", ((1.5, 0.0),))))
