"""Kinds of units: whole heads, positions within heads, neurons, the residual stream."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import secateur
from secateur.allocation import Uniform
from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_, verify
from secateur.core.example import Example
from secateur.core.groups import Kind
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel, Embedding, Head, HeadDim, Neuron
from secateur.graph.trace import trace
from secateur.schedules import OneShot


class Grouped(nn.Module):
    """Grouped-query attention: six heads of queries, three of keys and values."""

    def __init__(self, width=12, heads=6, shared=3, head_dim=8):
        super().__init__()
        self.num_heads, self.num_shared, self.head_dim = heads, shared, head_dim
        self.q, self.k, self.v = (nn.Linear(width, n * head_dim) for n in (heads, shared, shared))
        self.o = nn.Linear(heads * head_dim, width)

    def forward(self, x):
        b, n, _ = x.shape
        q = self.q(x).view(b, n, self.num_heads, self.head_dim).transpose(1, 2)
        k = self.k(x).view(b, n, self.num_shared, self.head_dim).transpose(1, 2)
        v = self.v(x).view(b, n, self.num_shared, self.head_dim).transpose(1, 2)
        k, v = (t.repeat_interleave(2, 1) for t in (k, v))
        return self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.attention = nn.Linear(5, 12), Grouped()
        self.norms = nn.ModuleList(nn.LayerNorm(12) for _ in range(3))
        self.mlp = nn.Sequential(nn.Linear(12, 10), nn.GELU(), nn.Linear(10, 12))
        self.head = nn.Linear(12, 3)

    def forward(self, x):
        x = self.embed(x)
        x = x + self.attention(self.norms[0](x))
        x = x + self.mlp(self.norms[1](x))
        return self.head(self.norms[2](x))


EXAMPLE = torch.randn(2, 7, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def model():
    return strengthen_(Net()).eval()


@pytest.mark.parametrize(
    ("granularity", "units"),
    [
        (Head(), {"attention.q": 3}),
        (HeadDim(), {"attention.q": 8}),
        (Neuron(), {"mlp.0": 10}),
        (Embedding(), {"embed": 12}),
        (Channel(), {"embed": 12, "attention.q": 8, "mlp.0": 10}),
    ],
)
def test_blocks(granularity, units):
    graph = trace(model(), EXAMPLE, heads=granularity.heads)
    assert {block.name: block.units for block in granularity.blocks(graph)} == units


def test_a_group_of_heads_goes_with_its_keys_and_values():
    """Unit u: queries of heads 2u and 2u + 1, keys and values of shared head u, what the projection reads of them."""
    graph = trace(model(), EXAMPLE, heads=True)
    group = graph.groups["attention.q"]
    assert group.kind is Kind.HEADS
    index = {(s.tensor, s.dim): s.index for s in group.slots}
    assert torch.equal(index["attention.q.weight", 0], torch.arange(48).view(3, 16))
    assert torch.equal(index["attention.k.weight", 0], torch.arange(24).view(3, 8))
    assert torch.equal(index["attention.v.bias", 0], torch.arange(24).view(3, 8))
    assert torch.equal(index["attention.o.weight", 1], torch.arange(48).view(3, 16))


def test_heads_follow():
    """The shrunk module has two thirds of its heads, each as wide as before, and its temperature."""
    dense = model()
    plan = PruningPlan({}, Head(), trace(dense, EXAMPLE, heads=True)).keep("attention.q", [0, 2])
    small = shrink(dense, plan)
    assert (small.attention.num_heads, small.attention.num_shared, small.attention.head_dim) == (4, 2, 8)
    assert small.attention.q.weight.shape == (32, 12) and not plan.graph.rescalings
    found = outputs(small, Example.of(EXAMPLE))
    assert difference(outputs(mask(dense, plan), Example.of(EXAMPLE)), found) < 1e-12
    assert difference([by_hand(dense, [0, 1, 4, 5])], found) < 1e-12


def by_hand(net, heads):
    """The network with the other heads' outputs left out of the projection, head by head."""
    a, x = net.attention, net.embed(EXAMPLE)
    h, out = net.norms[0](x), a.o.bias
    for n in heads:
        rows, shared = slice(8 * n, 8 * n + 8), slice(8 * (n // 2), 8 * (n // 2) + 8)
        q = h @ a.q.weight[rows].T + a.q.bias[rows]
        k, v = (h @ m.weight[shared].T + m.bias[shared] for m in (a.k, a.v))
        out = out + torch.softmax(q @ k.transpose(1, 2) / 8**0.5, -1) @ v @ a.o.weight[:, rows].T
    x = x + out
    x = x + net.mlp(net.norms[1](x))
    return net.head(net.norms[2](x)).detach()


@pytest.mark.parametrize("heads", [False, True])
def test_cut_beside_everything_else(heads):
    dense = model()
    graph = trace(dense, EXAMPLE, heads=heads)
    plan = PruningPlan({}, Channel(), graph)
    for group in graph.cuttable.values():
        plan = plan.keep(group.name, range(1, group.units))
    assert verify(dense, plan) < 1e-12


def test_recipe_of_heads():
    """`compress` traces for heads by itself; nothing else is cut."""
    recipe = Recipe(
        criterion=Magnitude(), granularity=Head(), allocation=Uniform(), schedule=OneShot(), repair=(), finetune=None
    )
    made = secateur.compress(model(), recipe, example_inputs=EXAMPLE, budget="0.75 params")
    assert made.model.attention.num_heads == 4
    assert made.model.mlp[0].out_features == 10 and made.model.embed.out_features == 12
