"""Topologies of a residual network, and shares within them by hand."""

import pytest
import torch
from tests.search.toy import Toy

import secateur
from secateur.allocation import Global, Isomorphic, Uniform
from secateur.bench.zoo.resnet import ResNet
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.core.rng import generator
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, Weight
from secateur.planning import prepare


class Two(Toy):
    """Capitals are of another topology than small letters."""

    def topology(self, block):
        return "upper" if block.isupper() else "lower"


def scores(values, scope=Scope.GROUP):
    return Scores({n: torch.tensor(v, dtype=torch.float64) for n, v in values.items()}, Channel(), "by hand", scope)


def test_by_hand():
    """Half of the small letters' units and half of the capitals', whatever the sizes of their scores."""
    toy = Two({"a": 4, "b": 4, "X": 4}, dict.fromkeys(("a", "b", "X"), 1), {}, 0.5)
    values = {"a": [8.0, 7, 6, 1], "b": [5.0, 2, 3, 4], "X": [900.0, 800, 700, 600]}
    assert Isomorphic().counts(scores(values), toy) == {"a": 3, "b": 1, "X": 2}  # the best four of eight, two of four
    assert Global().counts(scores(values, Scope.GLOBAL), toy) == {"a": 1, "b": 1, "X": 4}


def test_one_topology_is_global():
    toy = Toy({"a": 5, "b": 7}, {"a": 2, "b": 1}, {}, 0.5)
    values = {n: torch.rand(u, generator=generator(0, n)).tolist() for n, u in toy.units.items()}
    assert Isomorphic().counts(scores(values), toy) == Global().counts(scores(values, Scope.GLOBAL), toy)


def test_equals_are_cut_alike():
    toy = Two({"a": 8, "b": 4, "X": 8}, dict.fromkeys(("a", "b", "X"), 1), {}, 0.5)
    flat = {n: [1.0] * u for n, u in toy.units.items()}
    assert Isomorphic().counts(scores(flat), toy) == Uniform().counts(scores(flat), toy) == {"a": 4, "b": 2, "X": 4}


def test_topologies_of_a_resnet():
    """Inner convolutions of all blocks are alike; the streams are not like them, nor like streams of other lengths."""
    net = ResNet(2, 4, channels=1)
    graph = secateur.trace(net, torch.zeros(1, 1, 12, 12))
    flat = scores({n: [1.0] * g.units for n, g in graph.cuttable.items()})
    choices = prepare(graph, flat, Budget(0.5)).choices
    alike = {}
    for name in choices.blocks:
        alike.setdefault(choices.topology(name), set()).add(name)
    inner = {name for name in choices.blocks if name.startswith("stages.") and name.endswith(".conv1")}
    assert inner in alike.values()
    assert all(len(names) == 1 or names == inner or not names & inner for names in alike.values())


def test_topologies_of_weights():
    net = torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3), torch.nn.Conv2d(4, 4, 3), torch.nn.Flatten(), torch.nn.Linear(4, 2)
    )
    graph = secateur.trace(net, torch.zeros(1, 1, 5, 5))
    values = {b.name: torch.ones(b.units) for b in Weight().blocks(graph)}
    choices = prepare(graph, Scores(values, Weight(), "", Scope.GLOBAL), Budget(0.5)).choices
    kinds = {name: choices.topology(name) for name in choices.blocks}
    assert kinds["0.weight"] == kinds["1.weight"] != kinds["3.weight"]


def test_rows_cannot_be_ranked():
    with pytest.raises(IncompatibleError, match="within rows only"):
        Isomorphic().counts(scores({"a": [1.0]}, Scope.ROW), Toy({"a": 1}, {"a": 1}, {}, 1.0))
