"""The Gauss-Newton diagonal of linear layers: of rank one where a layer sees one vector, and not anywhere else."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles import gauss_newton_diagonal as oracle
from secateur.core.rng import generator


class Once(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 4), nn.Linear(4, 3, bias=False)

    def forward(self, x):
        return self.b(torch.tanh(self.a(x.flatten(1))))


class Twice(Once):
    """One of its layers is called two times."""

    def forward(self, x):
        return self.b(torch.tanh(self.a(torch.tanh(self.a(x.flatten(1))))))


class Besides(Once):
    """The weight is used without its module, too."""

    def forward(self, x):
        return self.b(torch.tanh(self.a(x.flatten(1))) + F.linear(x.flatten(1), self.a.weight))


class Tied(Once):
    """Two layers share a weight."""

    def __init__(self):
        super().__init__()
        self.c = nn.Linear(4, 4)
        self.c.weight = self.a.weight

    def forward(self, x):
        return self.b(torch.tanh(self.c(torch.tanh(self.a(x.flatten(1))))))


class Tokens(Once):
    """Every example is two vectors."""

    def forward(self, x):
        return self.b(torch.tanh(self.a(x.unflatten(1, (2, 2)).flatten(2)))).sum(1)


class Looks(Once):
    """The forward pass asks for values, so examples go one after another."""

    def forward(self, x):
        y = super().forward(x)
        return y * 2 if float(y.sum()) > 0 else y


@pytest.mark.parametrize("kind", [Once, Twice, Besides, Tied, Tokens, Looks])
def test_against_jacobians(kind):
    model = o.seeded_(kind())
    shape = (4, 2) if kind is Tokens else (2, 2)
    data = [
        (o.numbers(5, *shape, seed=seed), torch.randint(3, (5,), generator=generator(seed, "class")))
        for seed in range(2)
    ]
    assert oracle.of(model, data) < 1e-12
