import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.criteria import Magnitude
from secateur.evidence import Weight, collect
from secateur.granularity import Channel
from secateur.granularity import Weight as Single
from secateur.graph.trace import trace
from secateur.planning import score


@pytest.fixture
def net():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0], [-3.0, 0.5]]))
        model[0].bias.copy_(torch.tensor([10.0, -20.0]))
        model[2].weight.copy_(torch.tensor([[4.0, -5.0]]))
    return model


def scores(model, criterion, granularity):
    graph = trace(model, torch.zeros(1, 2, dtype=torch.float64))
    evidence = collect(model, None, criterion.needs, graph=graph)
    return score(graph, criterion, evidence, granularity=granularity).values


def test_filters_by_hand(net):
    assert scores(net, Magnitude(p=1), Channel())["0"].tolist() == [3.0, 3.5]
    assert scores(net, Magnitude(p=2), Channel())["0"].tolist() == [5.0, 9.25]


def test_whole_groups_by_hand(net):
    assert scores(net, Magnitude(p=1), Channel(over="all"))["0"].tolist() == [3 + 10 + 4, 3.5 + 20 + 5]
    assert scores(net, Magnitude(p=2), Channel(over="all"))["0"].tolist() == [5 + 100 + 16, 9.25 + 400 + 25]


def test_single_weights_by_hand(net):
    found = scores(net, Magnitude(p=1), Single())
    assert found["0.weight"].tolist() == [1, 2, 3, 0.5]
    assert found["2.weight"].tolist() == [4, 5]


def test_saliency_of_a_bare_tensor():
    evidence = Evidence({Weight: {"w": torch.tensor([-2.0, 0.0, 3.0])}})
    assert Magnitude(p=2).saliency("w", evidence).tolist() == [4, 0, 9]


@pytest.mark.parametrize("p", [0, 3, -1])
def test_other_norms_are_refused(p):
    with pytest.raises(IncompatibleError, match="p must be 1 or 2"):
        Magnitude(p=p)
