"""Random networks from a small grammar, random cuts: masked = shrunk, costs exact, dead units dead."""

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_, verify
from secateur.core.example import Example
from secateur.core.rng import generator
from secateur.graph.trace import trace
from secateur.testing.system import Prepared, check_cost, check_dead_units, check_trains_alike, random_plan

pytestmark = pytest.mark.timeout(3600)  # for SECATEUR_EXAMPLES in the thousands

ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.GELU, nn.Tanh, nn.SiLU, nn.Hardswish, nn.Softplus, nn.ELU, nn.LeakyReLU)


class Step(nn.Module):
    """A function with layers of its own."""

    def __init__(self, function, **layers):
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, x):
        return self.function(self, x)


def conv(c, out, k=3, **kw):
    return nn.Conv2d(c, out, k, padding=k // 2, **kw)


# Steps on images: (channels, size, a small number) -> module, or None where it does not apply.
def plain(c, n):
    return conv(c, 2 + n, 1 + 2 * (n % 2), bias=n > 2)


def depthwise(c, n):
    return conv(c, c * (1 + n % 2), groups=c)


def grouped(c, n):
    return conv(c, 4 + 2 * (n % 2), groups=2) if c % 2 == 0 else None


def transposed(c, n):
    groups = 2 if n % 2 and c % 2 == 0 else 1
    return nn.ConvTranspose2d(c, 4 if groups == 2 else 2 + n, 3, padding=1, groups=groups)


def transposed_depthwise(c, n):
    return nn.ConvTranspose2d(c, c, 3, padding=1, groups=c)


def norm(c, n):
    return (
        nn.BatchNorm2d(c),
        nn.GroupNorm(1, c),
        nn.GroupNorm(2, c) if c % 2 == 0 else nn.BatchNorm2d(c, affine=False),
        nn.GroupNorm(c, c),
        nn.InstanceNorm2d(c, affine=True),
        nn.InstanceNorm2d(c),
    )[n]


def act(c, n):
    return nn.PReLU(c) if n == 5 else ACTIVATIONS[(n + c) % len(ACTIVATIONS)]()


def residual(c, n):
    return Step(lambda m, x: x + m.b(ACTIVATIONS[n]()(m.a(x))), a=conv(c, 2 + n), b=conv(c=2 + n, out=c))


def projected(c, n):
    return Step(lambda m, x: m.b(m.a(x).sigmoid()) + m.p(x), a=conv(c, 3), b=conv(3, 2 + n), p=conv(c, 2 + n, 1))


def concat(c, n):
    return Step(lambda m, x: torch.cat([x, m.a(x)] if n % 2 else [m.a(x), x, x], 1), a=conv(c, 2 + n))


def gate(c, n):
    def run(m, x):
        a, b = m.a(x).chunk(2, 1)
        return a * b.sigmoid()

    return Step(run, a=conv(c, 2 * (2 + n)))


def squeeze_excite(c, n):
    return Step(
        lambda m, x: x * m.b(m.a(x.mean((2, 3), keepdim=True)).relu()).sigmoid(),
        a=conv(c, 2 + n, 1),
        b=conv(2 + n, c, 1),
    )


def pool(c, n):
    return (
        nn.AvgPool2d(3, 1, 1),
        nn.MaxPool2d(3, 1, 1),
        nn.Upsample(scale_factor=2),
        nn.AdaptiveAvgPool2d(3),
        nn.Identity(),
        nn.Dropout(0.5),
    )[n]


def shuffle(c, n):
    def run(m, x):
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)

    return Step(run) if c % 2 == 0 else None


def halves(c, n):
    def run(m, x):
        half = x.shape[1] // 2
        return x[:, :half] * x[:, half:].tanh() if n % 2 else x[:, half:]

    return Step(run) if c % 2 == 0 else None


def last(c, n):
    """Channels last, as in ConvNeXt."""
    return Step(
        lambda m, x: m.a(m.n(x.permute(0, 2, 3, 1))).permute(0, 3, 1, 2), n=nn.LayerNorm(c), a=nn.Linear(c, 2 + n)
    )


def twice(c, n):
    return Step(lambda m, x: m.a(m.a(x).sigmoid()), a=conv(c, c, 1))


def flipped(c, n):
    return Step(lambda m, x: x + x.flip(1) if n % 2 else x.flip(1))


def spatial(c, n):
    return Step(lambda m, x: x[:, :, 1:] if n % 2 else F.pad(x, (1, 0, 0, 1), value=float(n)))


def pixels(c, n):
    return nn.PixelShuffle(2) if c % 4 == 0 else nn.PixelUnshuffle(1)


def padded(c, n):
    """The shortcut of the first residual networks: missing channels are zeros."""
    return Step(lambda m, x: m.a(x) + F.pad(x, (0, 0, 0, 0, 1, 1)), a=conv(c, c + 2))


def standardised(c, n):
    def run(m, x):
        w = m.a.weight
        return F.conv2d(
            x, (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 0.1), m.a.bias, padding=1
        )

    return Step(run, a=conv(c, 2 + n))


def attention(c, n):
    """Channels meet in a product of activations."""

    def run(m, x):
        q, k, v = (layer(x).flatten(2) for layer in (m.q, m.k, m.v))
        if n % 2:
            q = q.relu()
        if n == 4:
            k = k.sigmoid()
        return m.o((v @ (q.transpose(1, 2) @ k * 0.3).softmax(-1)).view(x.shape[0], -1, *x.shape[2:]))

    return Step(run, q=conv(c, 4, 1), k=conv(c, 4, 1), v=conv(c, 3, 1), o=conv(3, 3, 1))


def choose(n, *functions, **parts):
    """One of several functions over the same layers."""
    return Step(functions[n % len(functions)], **parts)


def uneven(c, n):
    """Pieces of unequal length, the first of which are numbers of the module or of the code."""
    if c < 3:
        return None
    k = 1 + n % (c - 1)
    step = choose(
        n,
        lambda m, x: torch.cat([y.sigmoid() if at else y for at, y in enumerate(x.split([m.k, m.rest], 1))], 1),
        lambda m, x: torch.cat([x[:, m.k :], x[:, : m.k]], 1),
        lambda m, x: torch.cat([m.a(x[:, : m.k]), x[:, m.k :]], 1),
        lambda m, x: torch.cat([y.relu() for y in x.chunk(3, 1)], 1),
        lambda m, x: x[:, 1:],
        lambda m, x: torch.cat([x[:, ::2], x[:, 1::2]], 1),
        a=conv(k, k),
    )
    step.k, step.rest = k, c - k
    return step


def stacked(c, n):
    step = choose(
        n,
        lambda m, x: torch.stack([x, m.a(x)], 1).flatten(1, 2),
        lambda m, x: torch.stack([x, m.a(x)], 2).amax(2),
        lambda m, x: torch.stack([x, m.a(x), x.tanh()]).sum(0),
        lambda m, x: torch.stack(x.chunk(2, 1), -1).mean(-1) if m.even else x,
        lambda m, x: x.unflatten(1, (2, -1)).softmax(1).sum(2) if m.even else x,
        lambda m, x: x.repeat(1, 2, 1, 1) * 0.5,
        a=conv(c, c),
    )
    step.even = c % 2 == 0
    return step


def picked(c, n):
    """Entries named by number, in space (which passes) or among the channels (which does not)."""
    return choose(
        n,
        lambda m, x: x.roll(1, 2),
        lambda m, x: x.roll(1, 1),
        lambda m, x: x[:, :, [0, 1]],
        lambda m, x: x.index_select(1, torch.arange(x.shape[1] - 1, -1, -1)),
        lambda m, x: x[:, 0:1] * x,
        lambda m, x: torch.where(x[:, :, :1] > 0, x, 0.3 * x),
    )


def hand_norm(c, n):
    """Norms as people write them, over channels, over space, over both."""
    return choose(
        n,
        lambda m, x: m.w * (x - x.mean(1, keepdim=True)) / ((x - x.mean(1, keepdim=True)).square().mean(1, keepdim=True) + 0.1).sqrt() + m.b,
        lambda m, x: m.w * x * (x.square().mean(1, keepdim=True) + 0.1).rsqrt(),
        lambda m, x: x + m.b + m.w * x * (x.norm(dim=(2, 3), keepdim=True) / (x.norm(dim=(2, 3), keepdim=True).mean(1, keepdim=True) + 0.1)),
        lambda m, x: F.instance_norm(x, weight=m.w.flatten(), bias=m.b.flatten()),
        lambda m, x: F.group_norm(x, 1, m.w.flatten(), m.b.flatten()),
        lambda m, x: F.normalize(x, dim=1) * m.w,
        w=nn.Parameter(torch.ones(1, c, 1, 1)),
        b=nn.Parameter(torch.zeros(1, c, 1, 1)),
    )  # fmt: skip


def spatial_attention(c, n):
    return choose(
        n,
        lambda m, x: x * m.a(torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)).sigmoid(),
        lambda m, x: x * m.a(torch.stack([x.max(1)[0], x.mean(1)], 1)).sigmoid(),
        lambda m, x: x * x.mean((2, 3), keepdim=True).softmax(1),
        lambda m, x: x * torch.einsum("bchw,c->bhw", x, m.w).sigmoid().unsqueeze(1),
        lambda m, x: torch.einsum("bchw,dc->bdhw", x, m.mix),
        lambda m, x: x * m.w[:, None, None] + m.w.view(1, -1, 1, 1),
        a=conv(2, 1),
        w=nn.Parameter(torch.ones(c)),
        mix=nn.Parameter(torch.ones(5, c)),
    )


def normed_weight(c, n):
    """Weights that are computed before they are used."""
    return choose(
        n,
        lambda m, x: F.conv2d(x, m.a.weight / (m.a.weight.flatten(1).norm(dim=1)[:, None, None, None] + 0.1), m.a.bias),
        lambda m, x: F.conv2d(
            x, m.g * m.a.weight / torch.linalg.vector_norm(m.a.weight, dim=(1, 2, 3), keepdim=True), m.a.bias
        ),
        lambda m, x: F.conv2d(x, F.normalize(m.a.weight, dim=1)),
        lambda m, x: F.conv2d(x, m.a.weight.softmax(1)),
        lambda m, x: F.conv_transpose2d(m.a(x).relu(), m.a.weight),
        lambda m, x: m.a(x) + F.conv2d(x, m.a.weight.abs(), m.a.bias),
        a=conv(c, 4, 1),
        g=nn.Parameter(torch.ones(4, 1, 1, 1)),
    )


IMAGE_STEPS = (
    plain, depthwise, grouped, transposed, transposed_depthwise, norm, act, residual, projected, concat, gate, squeeze_excite, pool,
    shuffle, halves, last, twice, flipped, spatial, pixels, padded, standardised, attention, uneven, stacked, picked,
    hand_norm, spatial_attention, normed_weight,
)  # fmt: skip


# Steps on vectors.
def linear(c, n):
    return nn.Linear(c, 2 + n, bias=n > 0)


def vector_norm(c, n):
    return (
        nn.LayerNorm(c),
        nn.LayerNorm(c, bias=False),
        nn.BatchNorm1d(c),
        nn.LayerNorm(c, elementwise_affine=False),
        nn.GroupNorm(1, c),
        nn.Identity(),
    )[n]


def vector_act(c, n):
    return ACTIVATIONS[(n + c) % len(ACTIVATIONS)]()


def vector_residual(c, n):
    return Step(
        lambda m, x: x + m.b(F.gelu(m.a(m.n(x)))), n=nn.LayerNorm(c), a=nn.Linear(c, 2 + n), b=nn.Linear(2 + n, c)
    )


def vector_gate(c, n):
    return Step(lambda m, x: F.glu(m.a(x), -1), a=nn.Linear(c, 2 * (2 + n)))


def vector_halves(c, n):
    return Step(lambda m, x: torch.cat([x[:, c // 2 :], x[:, : c // 2]], 1))  # sizes written into the code


def heads(c, n):
    """Norms over parts of the channels, with the number of parts written into the code."""
    return Step(lambda m, x: F.normalize(x.view(x.shape[0], 2, -1), dim=1).flatten(1)) if c % 2 == 0 else None


VECTOR_STEPS = (linear, vector_norm, vector_act, vector_residual, vector_gate, vector_halves, heads)


class Net(nn.Module):
    def __init__(self, image, flat, vector):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(3, 4, 3, padding=1)])
        self.build(image, IMAGE_STEPS, torch.zeros(2, 3, 5, 5))
        self.layers.append(nn.Flatten() if flat else Step(lambda m, x: x.amax((2, 3)) + x.mean((2, 3))))
        self.build(vector, VECTOR_STEPS, torch.zeros(2, 3, 5, 5))
        self.layers.append(nn.Linear(self(torch.zeros(2, 3, 5, 5)).shape[1], 3))

    def build(self, choices, steps, x):
        for kind, n in choices:
            self.eval()
            width = self(x).shape[1]
            layer = steps[kind % len(steps)](width, n) if width <= 24 else None
            if layer is not None:
                self.layers.append(layer)

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


def choices(steps, size):
    return st.lists(st.tuples(st.integers(0, len(steps) - 1), st.integers(0, 5)), max_size=size)


NETWORKS = st.builds(Net, choices(IMAGE_STEPS, 7), st.booleans(), choices(VECTOR_STEPS, 4))


def wide(plan):
    """The plan with two units at least: where one is left, `einsum` multiplies instead of contracting."""
    single = [name for name, keep in plan.kept.items() if int(keep.sum()) == 1]
    return replace(plan, kept={n: torch.ones_like(k) if n in single else k for n, k in plan.kept.items()})


@given(network=NETWORKS, seed=st.integers(0, 2**16))
def test_masked_is_shrunk(network, seed):
    model = strengthen_(network).eval()
    x = torch.randn(2, 3, 5, 5, generator=generator(seed), dtype=torch.float64)
    graph = trace(model, x)
    plan = random_plan(graph, seed)
    assert verify(model, plan) < 1e-7
    verify(copy.deepcopy(model).float(), plan)  # raises nothing, whether float32 settles it or float64 has to
    masked, shrunk = mask(model, plan), shrink(model, plan, verify=False)
    for batch in (x, torch.cat([x, x.flip(0)])):
        assert difference(outputs(masked, Example.of(batch)), outputs(shrunk, Example.of(batch))) < 1e-9
    check_cost(model, wide(plan), Example.of(x))
    check_dead_units(model, plan, [Example.of(x)])


@settings(max_examples=max(settings.default.max_examples // 6, 1))
@given(network=NETWORKS, seed=st.integers(0, 2**16))
def test_trains_alike(network, seed):
    """With clipping by global norm, where gradients of dead entries would be noticed."""
    model = strengthen_(network).eval()
    x = torch.randn(4, 3, 5, 5, generator=generator(seed), dtype=torch.float64)
    graph = trace(model, x)
    batches = tuple((x.roll(n, 0) * (1 + n), None) for n in range(3))
    check_trains_alike(Prepared(model, graph, batches), random_plan(graph, seed), "sgd", 0.1)


def test_most_networks_can_be_cut():
    """The grammar is not wasted on networks that are pinned altogether."""
    found = []

    @settings(max_examples=60, derandomize=True, database=None)
    @given(network=NETWORKS)
    def look(network):
        graph = trace(strengthen_(network).eval(), torch.zeros(2, 3, 5, 5, dtype=torch.float64))
        made = [g for g in graph.groups.values() if not g.pinned.startswith(("is an output", "reads what"))]
        found.extend(bool(not g.pinned) for g in made)

    look()
    assert sum(found) / len(found) > 0.7, f"{sum(found)} of {len(found)} inner groups may be cut"
