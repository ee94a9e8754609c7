import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import apoz as oracle
from secateur.allocation import above
from secateur.core.budget import Budget
from secateur.criteria import APoZ
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import plan, plan_by_hand, score
from secateur.testing import case as cases


def scores(model, batches):
    graph = trace(model, batches[0][0])
    return graph, score(graph, APoZ(), collect(model, batches, APoZ.needs, graph=graph))


def test_against_counting():
    assert oracle.error() < 1e-12


def test_by_hand():
    model = nn.Sequential(nn.Linear(1, 3, bias=False), nn.ReLU(), nn.Linear(3, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [-1.0], [0.0]]))
    x = torch.tensor([[1.0], [2.0], [3.0], [-1.0]]).double()
    assert scores(model, [(x, None)])[1].values["0"].tolist() == [0.75, 0.25, 0]


def test_grouped_convolutions_count_both_channels_of_a_unit():
    """Channels k and k + 2 go together, and are zero in 0 and 2, or 1 and 1, of two places."""
    model = nn.Sequential(
        nn.Conv1d(1, 4, 1, bias=False), nn.ReLU(), nn.Conv1d(4, 4, 1, groups=2), nn.Conv1d(4, 1, 1)
    ).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([1.0, 1.0, -1.0, 1.0]).view(4, 1, 1))
    for x, wanted in (([1.0, 2.0], [0.5, 1.0]), ([1.0, -1.0], [0.5, 0.5]), ([0.0, 3.0], [0.25, 0.5])):
        found = scores(model, [(torch.tensor([[x]]).double(), None)])[1]
        assert found.values["0"].tolist() == wanted


def test_the_rule_of_the_paper():
    """Away with units whose share of zeros is more than one standard deviation above the mean of their layer."""
    case = cases.normed(24, 16)
    found = score(case.graph, APoZ(), case.evidence(APoZ.needs))
    made = plan_by_hand(case.graph, {n: above(v, -1, about="mean") for n, v in found.values.items()})
    gone = 0
    for name, values in found.values.items():
        zeros = [1 - v for v in values.tolist()]
        mean = sum(zeros) / len(zeros)
        sigma = (sum((z - mean) ** 2 for z in zeros) / len(zeros)) ** 0.5
        assert made.kept[name].tolist() == [z <= mean + sigma for z in zeros]
        gone += sum(z > mean + sigma for z in zeros)
    assert gone


def test_gelu_says_nothing():
    model = nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 1)).double()
    graph, found = scores(model, [(torch.randn(4, 2, generator=torch.Generator().manual_seed(0)).double(), None)])
    assert found.values["0"].tolist() == pytest.approx([1, 1, 1])
    assert plan(graph, found, Budget(0.67, "units")).kept["0"].tolist() == [True, True, False]
