"""What collectors make of the inputs of unusual layers; the figures themselves are tested with their criteria."""

import pytest
import torch
from torch import nn

from secateur.core.rng import generator
from secateur.evidence import FeatureTaylor, InputAbsolute, InputZeros, PooledInput, collect
from secateur.evidence.base import maps
from secateur.graph.trace import trace


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=generator(seed), dtype=torch.float64)


def test_maps_of_every_kind_of_input():
    x = noise(2, 4, 5, 6)
    assert torch.equal(maps(nn.Conv2d(4, 1, 1), x), x.flatten(2))
    assert torch.equal(maps(nn.Conv2d(4, 1, 1), x[0]), x[:1].flatten(2))
    assert torch.equal(maps(nn.ConvTranspose2d(4, 2, 1, groups=2), x), x.flatten(2))
    grouped = maps(nn.Conv2d(4, 2, 1, groups=2), x)
    assert torch.equal(grouped, torch.cat([x[:, :2].flatten(2), x[:, 2:].flatten(2)], 2))
    assert torch.equal(maps(nn.Linear(6, 1), x), x.flatten(1, 2).mT)
    assert torch.equal(maps(nn.Linear(6, 1), x[0, 0, 0]), x[0, 0, 0].view(1, 6, 1))
    assert torch.equal(maps(nn.Linear(6, 1), x[0, 0]), x[0, 0][..., None])
    assert maps(nn.Linear(6, 1), x.half()).dtype == torch.float32


class Twice(nn.Module):
    """One layer used on two inputs, by keyword."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.out = nn.Linear(2, 3), nn.Linear(3, 3), nn.Linear(3, 2)

    def forward(self, x):
        h = torch.relu(self.a(x))
        return self.out(torch.relu(self.b(input=h)) + torch.relu(self.b(input=-h)))


def test_a_layer_used_twice_sees_both():
    model, x = Twice().double(), noise(4, 2)
    graph = trace(model, x)
    found = collect(model, [(x, None)], [InputAbsolute, InputZeros, PooledInput], graph=graph)
    h = torch.relu(model.a(x)).detach()
    assert torch.allclose(found[InputAbsolute]["b.weight"], h.mean(0), rtol=1e-12)
    assert torch.equal(found[InputZeros]["b.weight"], (h == 0).double().mean(0))
    assert torch.equal(found[PooledInput]["b.weight"], torch.cat([h, -h]).T)


def test_the_gradient_at_each_use_counts():
    """The mean over both uses of |h dL/dh there|; dL/dh is asked for at the input itself, so at h it is the whole one."""
    model, x = Twice().double(), noise(4, 2)
    found = collect(model, [(x, None)], [FeatureTaylor], graph=trace(model, x), loss=lambda y, _: y.mean())
    h = torch.relu(model.a(x)).detach().requires_grad_()
    other = (-h).detach().requires_grad_()
    (first,) = torch.autograd.grad(model.out(model.b(h).relu() + model.b(-h).relu()).mean(), h)
    (second,) = torch.autograd.grad(model.out(model.b(h).relu() + model.b(other).relu()).mean(), other)
    wanted = 4 * torch.cat([(h * first).abs(), (other * second).abs()]).mean(0)
    assert torch.allclose(found[FeatureTaylor]["b.weight"], wanted.detach(), rtol=1e-12)


@pytest.mark.parametrize("size", [1, 3, 12])
def test_batch_size_does_not_matter(size):
    model, x, y = Twice().double(), noise(12, 2), torch.randint(2, (12,), generator=generator(1))
    graph = trace(model, x[:2])
    needs = [InputAbsolute, InputZeros, FeatureTaylor]
    whole = collect(model, [(x, y)], needs, graph=graph)
    parts = collect(model, list(zip(x.split(size), y.split(size), strict=True)), needs, graph=graph)
    for need in needs:
        for name, values in whole[need].items():
            assert torch.allclose(parts[need][name], values, rtol=1e-10)
