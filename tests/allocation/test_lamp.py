"""LAMP as an allocation: by hand, and the criterion of that name ranked over the network."""

import pytest
import torch
from tests.search.toy import Toy
from torch import nn

import secateur
from secateur.allocation import LAMP, Global
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scope, Scores
from secateur.criteria import LAMP as Criterion
from secateur.criteria import Magnitude
from secateur.evidence import Weight as Weights
from secateur.granularity import Channel, Weight


def test_by_hand():
    """Of 3, 4 and 1, 2, 2, 1: 9/25, 1 and 1/10, 4/8, 1, 1/9 (equals in the order of their numbers, first ones best)."""
    values = {"a": torch.tensor([3.0, 4.0]), "b": torch.tensor([1.0, 2.0, 2.0, 1.0])}
    scores = Scores(values, Channel(), "by hand", Scope.GROUP)
    toy = lambda keep: Toy({"a": 2, "b": 4}, {"a": 1, "b": 1}, {}, keep)  # noqa: E731
    assert LAMP().counts(scores, toy(2 / 6)) == {"a": 1, "b": 1}
    assert LAMP().counts(scores, toy(3 / 6)) == {"a": 1, "b": 2}
    assert LAMP().counts(scores, toy(4 / 6)) == {"a": 2, "b": 2}
    assert LAMP(power=1).counts(scores, toy(3 / 6)) == {"a": 1, "b": 2}  # 3/7 and 2/4


def test_as_the_criterion():
    """Magnitudes of weights with this allocation make the plan that the criterion makes with `Global`."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 9), nn.ReLU(), nn.Linear(9, 3))
    graph = secateur.trace(net, torch.zeros(1, 5))
    evidence = secateur.collect(net, None, (Weights,), graph=graph)
    for keep in (0.2, 0.5, 0.8):
        one = secateur.score(graph, Magnitude(p=1), evidence, granularity=Weight())
        two = secateur.score(graph, Criterion(), evidence, granularity=Weight())
        plans = [
            secateur.plan(graph, s, secateur.Budget(keep, "weights"), how)
            for s, how in ((one, LAMP()), (two, Global()))
        ]
        assert [b.name for b in plans[0].blocks] == [b.name for b in plans[1].blocks]
        assert all(torch.equal(plans[0].kept[n], plans[1].kept[n]) for n in plans[0].kept)


def test_power_is_checked():
    with pytest.raises(IncompatibleError, match="power"):
        LAMP(power=0)
