import torch
from torch import nn

from benchmarks.criteria.oracles import wanda
from secateur.core.budget import Budget
from secateur.criteria import Wanda
from secateur.evidence import collect
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import plan, score


def test_against_sums_one_by_one():
    assert wanda.error() < 1e-13


def test_by_hand_and_row_by_row():
    model = nn.Sequential(nn.Linear(4, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -2.0, 3.0, 4.0], [10.0, 20.0, 30.0, -40.0]]))
    x = torch.tensor([[3.0, 6.0, 0.0, 1.0], [4.0, 8.0, 1.0, 0.0]]).double()
    graph = trace(model, x)
    scores = score(graph, Wanda(), collect(model, [(x, None)], Wanda.needs, graph=graph), granularity=Weight())
    assert scores.values["0.weight"].tolist() == [5, 20, 3, 4, 50, 200, 30, 40]
    # every row keeps half, though all of the second row's scores are higher
    kept = plan(graph, scores, Budget(0.5, of="units")).kept["0.weight"]
    assert kept.tolist() == [True, True, False, False] * 2
