import pytest
import torch
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.criteria import BNScale
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def scores(model, example):
    graph = trace(model, example)
    return score(graph, BNScale(), collect(model, None, BNScale.needs, graph=graph)).values


def test_absolute_gamma():
    model = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Conv2d(3, 1, 1))
    with torch.no_grad():
        model[1].weight.copy_(torch.tensor([-2.0, 0.5, 0.0]))
    assert scores(model, torch.zeros(1, 1, 2, 2))["0"].tolist() == [2.0, 0.5, 0.0]


class Residual(nn.Module):
    """Two norms that share their channels."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1)
        self.na, self.nb = nn.BatchNorm2d(2), nn.BatchNorm2d(2)
        self.out = nn.Conv2d(2, 1, 1)

    def forward(self, x):
        x = torch.relu(self.na(self.a(x)))
        return self.out(torch.relu(x + self.nb(self.b(x))))


def test_shared_channels_add_their_scales():
    model = Residual()
    with torch.no_grad():
        model.na.weight.copy_(torch.tensor([1.0, -2.0]))
        model.nb.weight.copy_(torch.tensor([-0.25, 3.0]))
    assert scores(model, torch.zeros(1, 1, 2, 2))["a"].tolist() == [1.25, 5.0]


def test_depthwise_filters_are_not_scales():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1, groups=2), nn.BatchNorm2d(2), nn.Conv2d(2, 1, 1))
    with torch.no_grad():
        model[1].weight.fill_(100)
        model[2].weight.copy_(torch.tensor([1.0, 2.0]))
    assert scores(model, torch.zeros(1, 1, 2, 2))["0"].tolist() == [1.0, 2.0]


def test_without_a_norm_the_message_names_the_group():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))
    with pytest.raises(IncompatibleError, match="group '0' has no normalisation scale"):
        scores(model, torch.zeros(1, 2))
