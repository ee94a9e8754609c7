"""Small families of operators: which units they leave, and what they pin."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.measure import macs
from secateur.testing.nets import floats, sound, traced, widths
from secateur.testing.system import random_plan

X, IMAGE = floats(2, 3, 4), floats(2, 3, 8, 8)


def linear(a=4, b=6):
    return nn.Linear(a, b)


def conv(a=3, b=6, k=3, **options):
    return nn.Conv2d(a, b, k, padding=k // 2, **options)


class TestBilinear:
    @pytest.mark.parametrize("act", [torch.relu, torch.sigmoid])
    def test_three_groups(self, act):
        model, graph = traced(
            lambda m, x: m.b(m.l(act(m.a(x)), act(m.c(x)))),
            X,
            a=linear(),
            c=linear(4, 5),
            l=nn.Bilinear(6, 5, 7),
            b=linear(7, 3),
        )
        assert widths(graph) == {"a": 6, "c": 5, "l": 7}
        assert {a.name for a in graph.attributes if a.module == "l"} == {"in1_features", "in2_features", "out_features"}
        sound(model, graph, X)

    def test_an_input_of_the_model(self):
        model, graph = traced(lambda m, x: m.b(m.l(m.a(x), x)), X, a=linear(), l=nn.Bilinear(6, 4, 7), b=linear(7, 3))
        assert widths(graph) == {"a": 6, "l": 7}
        sound(model, graph, X)

    def test_what_it_costs(self):
        layer = nn.Bilinear(6, 5, 7)
        inputs = (torch.zeros(2, 3, 6), torch.zeros(2, 3, 5))
        assert macs(layer, inputs) == 2 * 3 * 6 * 5 * 7


class TestVectors:
    """Products with single vectors."""

    def test_a_linear_layer_on_one(self):
        model, graph = traced(lambda m, x: m.b(m.a(x)), floats(4), a=linear(), b=linear(6, 3))
        assert widths(graph) == {"a": 6}
        sound(model, graph, floats(4))

    @pytest.mark.parametrize("product", [torch.mv, lambda h, p: torch.stack([torch.dot(row, p) for row in h.unbind()])])
    def test_a_parameter(self, product):
        model, graph = traced(
            lambda m, x: m.b(product(m.a(x).sigmoid(), m.p)),
            floats(5, 4),
            a=linear(),
            p=nn.Parameter(torch.ones(6)),
            b=linear(5, 3),
        )
        assert widths(graph) == {"a": 6}
        assert {s.tensor: str(s.role) for s in graph.groups["a"].slots}["p"] == "consumes"
        sound(model, graph, floats(5, 4))

    def test_two_loud_activations(self):
        _, graph = traced(
            lambda m, x: m.b(torch.dot(m.a(x).sigmoid(), m.c(x).sigmoid()).expand(2)),
            floats(4),
            a=linear(),
            c=linear(),
            b=linear(2, 3),
        )
        assert "sum over activations" in graph.groups["a"].pinned


@pytest.mark.parametrize(
    ("run", "made", "units"),
    [
        (lambda h: F.unfold(h, 3, padding=1).view(2, -1, 8, 8), 54, 6),
        (lambda h: F.unfold(h, 2, stride=2).view(2, h.shape[1], 4, 4, 4).sum(2), 6, 6),
        (lambda h: F.fold(F.unfold(h, 3, padding=1), 8, 3, padding=1), 6, 6),
        (lambda h: F.fold(F.unfold(h[0], 3, padding=1), 8, 3, padding=1)[None], 6, 6),
        (lambda h: F.channel_shuffle(h, 2), 6, 3),
        (lambda h: F.pad(h, (1, 2, 1, 2), mode="circular"), 6, 6),
        (lambda h: F.max_unpool2d(*F.max_pool2d(h, 2, return_indices=True), 2), 6, 6),
        (lambda h: torch.rot90(h, 1, (2, 3)), 6, 6),
        (lambda h: F.adaptive_avg_pool2d(h.contiguous(memory_format=torch.channels_last), 1), 6, 6),
        (lambda h: F.grid_sample(h, h.new_zeros(2, 5, 5, 2), align_corners=False), 6, 6),
        (lambda h: h.repeat_interleave(2, 1), 12, 6),
        (lambda h: h.as_strided(h.shape, h.stride()), 6, 6),
    ],
)
def test_images(run, made, units):
    model, graph = traced(lambda m, x: m.b(run(m.a(x))), IMAGE, a=conv(), b=conv(made, 3))
    assert widths(graph) == {"a": units} and not graph.unknown
    sound(model, graph, IMAGE)


def test_rows_of_columns():
    _, graph = traced(lambda m, x: m.b(F.unfold(m.a(x), 2, stride=2).view(2, -1, 4, 4)), IMAGE, a=conv(), b=conv(24, 3))
    slot = next(s for s in graph.groups["a"].slots if s.tensor == "b.weight")
    assert slot.index.tolist() == [[4 * u + k for k in range(4)] for u in range(6)]


def test_columns_that_become_channels():
    """Patches laid out by a layer of its own: four rows of its weight are one channel."""
    model, graph = traced(
        lambda m, x: m.b(F.fold(m.a(x).sigmoid(), 6, 2, stride=2)), floats(2, 3, 9), a=nn.Conv1d(3, 24, 1), b=conv(6, 3)
    )
    assert widths(graph) == {"a": 6}
    slot = next(s for s in graph.groups["a"].slots if s.tensor == "a.weight")
    assert slot.index.tolist() == [[4 * u + k for k in range(4)] for u in range(6)]
    sound(model, graph, floats(2, 3, 9))


def test_shuffled_channels():
    """Channel j * 2 + i of the output is channel i * 3 + j of the input, and both halves lose the same positions."""
    _, graph = traced(lambda m, x: m.b(F.channel_shuffle(m.a(x), 2)), IMAGE, a=conv(), b=conv(6, 3))
    slots = {(s.tensor, s.dim): s.index.tolist() for s in graph.groups["a"].slots}
    assert slots["a.weight", 0] == [[u, u + 3] for u in range(3)]
    assert slots["b.weight", 1] == [[2 * u, 2 * u + 1] for u in range(3)]


@pytest.mark.parametrize("pad", [F.pad, lambda x, amounts, mode: F.pad(x, amounts, mode=mode)])
@pytest.mark.parametrize("mode", ["replicate", "reflect", "circular"])
def test_borders_in_three_dims(pad, mode):
    model, graph = traced(
        lambda m, x: m.b(pad(m.a(x), (1, 1, 1, 1, 1, 1), mode=mode)),
        floats(2, 3, 3, 3, 3),
        a=nn.Conv3d(3, 6, 1),
        b=nn.Conv3d(6, 3, 1),
    )
    assert widths(graph) == {"a": 6}
    sound(model, graph, floats(2, 3, 3, 3, 3))


def written(indices, values):
    def run(h):
        out = torch.zeros_like(h)
        out[indices] = values(h)
        return out

    return run


@pytest.mark.parametrize(
    "run",
    [
        written((slice(None), torch.tensor([0, 2])), lambda h: h[:, :2]),
        written((slice(None), torch.tensor([True, False, True])), lambda h: h[:, 1:]),
        written((torch.tensor([1]),), lambda h: h[:1]),
        written((slice(None), torch.tensor([0, 2])), lambda h: h[:, :1]),
        lambda h: h.index_put((torch.tensor([0, 1]),), h, accumulate=True),
        lambda h: (h @ h.mT).tril() @ h,
        lambda h: (h @ h.mT).masked_fill(torch.ones(3, 3).triu(1) > 0, 0.0) @ h,
        lambda h: h.masked_fill(h > 0, 0.5),
        lambda h: torch.where(h > 0, h, -1.0),
        lambda h: h.cumsum(1),
    ],
)
def test_sequences(run):
    model, graph = traced(lambda m, x: m.b(run(m.a(x))), X, a=linear(), b=linear(6, 3))
    assert widths(graph) == {"a": 6} and not graph.unknown
    sound(model, graph, X, seeds=(0, 2, 3))


@pytest.mark.parametrize("equation", ["bnc,bmc,bmd->bnd", "bnc,bnc,bnd->bnd", "bnc,bmd,bmc->bnd"])
def test_einsum(equation):
    """At a width of one, torch multiplies and adds where it made matrix products before, which is counted otherwise."""
    model, graph = traced(
        lambda m, x: m.b(torch.einsum(equation, (h := m.a(x)), h.sigmoid(), h)), X, a=linear(), b=linear(6, 3)
    )
    assert widths(graph) == {"a": 6}
    seeds = [seed for seed in range(8) if random_plan(graph, seed).width("a") > 1]
    sound(model, graph, X, seeds=seeds)


@pytest.mark.parametrize(
    "run",
    [
        written((..., torch.tensor([0, 2])), lambda h: h[..., :1]),
        written((torch.tensor([0, 1]), torch.tensor([0, 2])), lambda h: h[:, 0]),
        lambda h: (h.mT @ h).tril().amax(1, keepdim=True) * h,
        lambda h: h.flatten().as_strided((2, 3, 6), (18, 1, 3)),
        lambda h: h.as_strided((2, 3, 6), (0, 6, 1)),
        lambda h: h[:, :2].as_strided((2, 3, 6), (18, 6, 1)),
        lambda h: torch.rot90(h, 2, (1, 2)),
        lambda h: torch.fft.irfft(torch.fft.rfft(h), 6),
        lambda h: h[..., torch.tensor([1, 0, 2, 3, 5, 4])],
    ],
)
def test_positions_pin(run):
    model, graph = traced(lambda m, x: m.b(run(m.a(x))), X, a=linear(), b=linear(6, 3))
    assert "operator aten." in graph.groups["a"].pinned
    sound(model, graph, X, seeds=())


def test_strides_that_do_not_follow():
    def run(m, x):
        return m.b(m.a(x).as_strided((2, 3, m.b.in_features), (18, 6, 1)))

    _, graph = traced(run, X, a=linear(), b=linear(6, 3))
    assert "puts entries elsewhere after a cut: operator aten.as_strided" in graph.groups["a"].pinned


def test_places_read_from_channels():
    """Positions may not depend on what is cut."""
    _, graph = traced(
        lambda m, x: m.b(F.grid_sample(x, m.a(x).permute(0, 2, 3, 1).tanh(), align_corners=False)),
        IMAGE,
        a=conv(3, 2),
        b=conv(3, 3),
    )
    assert "samples along it" in graph.groups["a"].pinned
