import pytest
import torch
from torch import nn

from secateur.core.rng import generator
from secateur.criteria import FPGM
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def scores(model, example):
    graph = trace(model, example)
    return score(graph, FPGM(), collect(model, None, FPGM.needs, graph=graph)).values


def double_loop(filters):
    rows = [f.flatten().tolist() for f in filters]
    return [sum(sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) ** 0.5 for y in rows) for x in rows]


def test_against_a_double_loop():
    model = nn.Sequential(nn.Conv2d(2, 7, 3), nn.BatchNorm2d(7), nn.ReLU(), nn.Conv2d(7, 2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.randn(7, 2, 3, 3, generator=generator(0), dtype=torch.float64))
    found = scores(model, torch.zeros(1, 2, 4, 4, dtype=torch.float64))["0"].tolist()
    assert found == pytest.approx(double_loop(model[0].weight.detach()), rel=1e-12)


def test_the_replaceable_filter_goes_first():
    """On a line at 0, 1, 2, 10 the sums of distances are 13, 11, 11, 27: the middle ones go, not the small one."""
    model = nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1))
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[0.0], [1.0], [2.0], [10.0]]))
    assert scores(model, torch.zeros(1, 1))["0"].tolist() == [13, 11, 11, 27]


def test_nearly_equal_filters_keep_their_digits():
    """The expanded formula |a|^2 - 2ab + |b|^2 would give 0 or noise here."""
    model = nn.Sequential(nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [1.0 + 1e-9]], dtype=torch.float64))
    assert scores(model, torch.zeros(1, 1, dtype=torch.float64))["0"].tolist() == pytest.approx([1e-9, 1e-9], rel=1e-6)


def test_producers_side_by_side():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.out = nn.Linear(2, 3), nn.Linear(2, 3), nn.Linear(3, 1)

        def forward(self, x):
            return self.out(torch.relu(self.a(x) + self.b(x)))

    model = Sum().double()
    found = scores(model, torch.zeros(1, 2, dtype=torch.float64))["a"].tolist()
    assert found == pytest.approx(double_loop(torch.cat([model.a.weight, model.b.weight], 1).detach()), rel=1e-12)
