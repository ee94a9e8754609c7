import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import block_loss as oracle
from secateur.core.budget import Budget
from secateur.criteria import BlockLoss
from secateur.evidence import BlockLoss as LossWithout
from secateur.evidence import collect
from secateur.granularity import Layer
from secateur.graph.trace import trace
from secateur.planning import plan, score


def test_agrees_with_its_oracle():
    assert oracle.error() < 1e-12


class Scales(nn.Module):
    def __init__(self, weight):
        super().__init__()
        self.mix = nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(weight * torch.eye(2))

    def forward(self, x):
        return x + self.mix(x)


def test_by_hand():
    """Factors 2, 1 and 1/2 of the output; squared error against the output itself, so that each factor counts."""
    model = nn.Sequential(Scales(1.0), Scales(0.0), Scales(-0.5)).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    graph = trace(model, x, depth=True)
    square = x.square().mean().item()
    loss = lambda y, t: (y - t).square().mean()  # noqa: E731
    found = collect(model, [(x[:1], x[:1]), (x[1:], x[1:])], [LossWithout], graph=graph, loss=loss)
    scores = score(graph, BlockLoss(), found, granularity=Layer())
    assert scores.values["layers"].tolist() == pytest.approx([square / 4, 0, square])
    assert plan(graph, scores, Budget(0.34, "units")).removed == ("0", "1")


def test_a_block_that_does_harm_is_below_zero():
    model = nn.Sequential(Scales(3.0), nn.Linear(2, 1)).double()
    x = torch.randn(4, 2, dtype=torch.float64)
    graph = trace(model, x, depth=True)
    loss = lambda y, t: (y - t).square().mean()  # noqa: E731
    target = model[1](x).detach()
    found = collect(model, [(x, target)], [LossWithout], graph=graph, loss=loss)
    assert float(BlockLoss().score(("0",), found)) < 0
