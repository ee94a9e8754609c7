import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import block_influence as oracle
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.criteria import BlockInfluence
from secateur.evidence import BlockCosine, collect
from secateur.granularity import Channel, Layer, Weight
from secateur.graph.trace import trace
from secateur.planning import plan
from secateur.planning.check import check
from secateur.testing import case as cases


def test_agrees_with_its_oracle():
    assert oracle.error() < 1e-12


class Turns(nn.Module):
    """Adds the input, turned by 90 degrees and weighted, to the input."""

    def __init__(self, weight, images):
        super().__init__()
        self.images = images
        self.mix = nn.Conv2d(2, 2, 1, bias=False) if images else nn.Linear(2, 2, bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor([[0.0, -weight], [weight, 0.0]]).view(self.mix.weight.shape))

    def forward(self, x):
        return x + self.mix(x)


@pytest.mark.parametrize("images", [False, True])
def test_by_hand(images):
    """x + a J x is turned by atan a, so the cosine is 1 / sqrt(1 + a^2), for tokens and for places of images."""
    model = nn.Sequential(Turns(1.0, images), Turns(0.0, images), Turns(3.0**0.5, images)).double()
    x = torch.randn((3, 2, 4, 5) if images else (3, 7, 2), dtype=torch.float64)
    graph = trace(model, x, depth=True)
    assert graph.blocks == ("0", "1", "2")
    found = collect(model, [(x, None)], [BlockCosine], graph=graph)
    assert BlockInfluence().score(graph.blocks, found).tolist() == pytest.approx([1 - 0.5**0.5, 0, 0.5])


def test_zeros_are_not_turned():
    model = nn.Sequential(Turns(1.0, False), Turns(1.0, False)).double()
    x = torch.zeros(2, 3, 2, dtype=torch.float64)
    found = collect(model, [(x, None)], [BlockCosine], graph=trace(model, torch.randn_like(x), depth=True))
    assert BlockInfluence().score(("0", "1"), found).tolist() == [0, 0]


def test_the_block_that_turns_least_goes_first():
    subject = cases.residual()
    found = oracle.scores(subject)
    made = plan(subject.graph, found, Budget(0.7, "units"))
    assert made.removed == (subject.graph.blocks[int(found.values["layers"].argmin())],)


@pytest.mark.parametrize("granularity", [Channel(), Weight()], ids=repr)
def test_meets_whole_modules_only(granularity):
    check(BlockInfluence(), Layer())
    with pytest.raises(IncompatibleError, match=r"scores whole modules.*Layer\(\)"):
        check(BlockInfluence(), granularity)
