"""Random networks from a small grammar, random cuts: masked = shrunk, costs exact, dead units dead."""

import copy

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


IMAGE_STEPS = (
    plain, depthwise, grouped, transposed, transposed_depthwise, norm, act, residual, projected, concat, gate, squeeze_excite, pool,
    shuffle, halves, last, twice, flipped, spatial, pixels, padded, standardised, attention,
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
    check_cost(model, plan, Example.of(x))
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
