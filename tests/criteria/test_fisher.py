import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import fisher
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.criteria import Fisher
from secateur.evidence import MaskGradient
from secateur.testing import case as cases


def test_against_factors_in_the_network():
    assert fisher.error() < 1e-12


def test_several_consumers_add_up_before_squaring():
    """A unit read by two layers: one factor is felt in both."""

    class Fork(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 3), nn.Linear(4, 3)

        def forward(self, x):
            h = torch.tanh(self.stem(x))
            return self.a(h) + self.b(h).square()

    from secateur.evidence import collect
    from secateur.graph.trace import trace
    from secateur.planning import score

    model = Fork().double()
    x, y = (
        torch.randn(6, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64),
        torch.tensor([0, 1, 2, 0, 1, 2]),
    )
    graph = trace(model, x)
    found = score(graph, Fisher(), collect(model, [(x, y)], Fisher.needs, graph=graph)).values["stem"]
    wanted = torch.zeros(4, dtype=torch.float64)
    for k in range(6):
        m = torch.ones(4, dtype=torch.float64, requires_grad=True)
        h = torch.tanh(model.stem(x[k : k + 1])) * m
        loss = nn.functional.cross_entropy(model.a(h) + model.b(h).square(), y[k : k + 1])
        wanted += torch.autograd.grad(loss, m)[0] ** 2 / 12
    assert torch.allclose(found, wanted, rtol=1e-10)


def test_nothing_consumes_the_group():
    with pytest.raises(IncompatibleError, match=r"no parameter consumes '0'.*taylor"):
        Fisher().score(cases.plain().first(), Evidence({MaskGradient: {}}, 1))
