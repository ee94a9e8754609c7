import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.graph.trace import trace
from secateur.regularizers import BNL1
from secateur.testing import case as cases


def moment(model, graph):
    return cases.moment(cases.Case(model, graph, ()))


def test_by_hand():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([1.0, -2.0, 0.0]))
    graph = trace(model, torch.zeros(1, 1, 2, 2))
    found = BNL1(strength=0.1).penalty(moment(model, graph))
    assert found.item() == pytest.approx(0.3)
    found.backward()
    # the subgradient of |.| at zero is zero
    assert torch.allclose(model[1].weight.grad, torch.tensor([0.1, -0.1, 0.0]))
    assert all(p.grad is None for n, p in model.named_parameters() if n != "1.weight")


def test_scales_of_the_output_are_not_charged():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU(), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2))
    graph = trace(model, torch.zeros(1, 1, 2, 2))
    assert BNL1(strength=1.0).penalty(moment(model, graph)).item() == 2.0


class Joined(nn.Module):
    """One norm over channels that may be cut and channels that are an output, and so may not."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 1), nn.Conv2d(1, 3, 1)
        self.norm, self.last = nn.BatchNorm2d(5), nn.Conv2d(5, 1, 1)

    def forward(self, x):
        shown = self.b(x)
        return self.last(torch.relu(self.norm(torch.cat([self.a(x), shown], 1)))), shown


def test_only_entries_that_may_be_cut_are_charged():
    model = Joined()
    graph = trace(model, torch.zeros(1, 1, 2, 2))
    assert list(graph.cuttable) == ["a"]
    found = BNL1(strength=1.0).penalty(moment(model, graph))
    assert found.item() == 2.0
    found.backward()
    assert model.norm.weight.grad.tolist() == [1, 1, 0, 0, 0]


def test_without_norms_nothing_is_charged():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    assert BNL1().penalty(moment(model, trace(model, torch.zeros(1, 2)))).item() == 0


def test_depthwise_filters_are_not_charged():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1, groups=2), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))
    with torch.no_grad():
        model[1].weight.fill_(100)
    assert BNL1(strength=1.0).penalty(moment(model, trace(model, torch.zeros(1, 1, 2, 2)))).item() == 2.0


def test_negative_strength_is_refused():
    with pytest.raises(IncompatibleError, match="strength=-1"):
        BNL1(strength=-1)
