"""Tensors that a forward pass makes: uniform ones follow what they meet, ones that depend on positions pin it."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from secateur.testing.nets import floats, sound, traced, widths

X = floats(2, 3, 4)


def linear(a=4, b=6):
    return nn.Linear(a, b)


def copied(m, x):
    h = m.a(x)
    out = torch.zeros(h.shape, dtype=h.dtype)
    out.copy_(h)
    return m.b(out)


def filled_step_by_step(m, x):
    h = m.a(x).sigmoid()
    out = h.new_zeros(h.shape)
    for number, step in enumerate(h.unbind(1)):
        out[:, number] = step
    return m.b(out)


def written_by_out(m, x):
    out = x.new_empty(2, 3, m.a.out_features)
    torch.mul(m.a(x), 2, out=out)
    return m.b(out)


def one_half_filled(m, x):
    """Entries of one half are ones, the others zeros: units are pairs of entries, and stay such."""
    scale = x.new_zeros(m.a.out_features)
    scale[: len(scale) // 2].fill_(1)
    return m.b(m.a(x) * scale)


@pytest.mark.parametrize(
    ("run", "units"),
    [
        (copied, 6),
        (filled_step_by_step, 6),
        (written_by_out, 6),
        (one_half_filled, 3),
        (lambda m, x: m.b(m.a(x) + torch.ones(m.a.out_features, dtype=x.dtype)), 6),
        (lambda m, x: m.b(torch.zeros(m.a.out_features, dtype=x.dtype) + m.a(x)), 6),
        (lambda m, x: m.b(torch.maximum(m.a(x), x.new_full((m.a.out_features,), 0.1))), 6),
        (lambda m, x: m.b(m.a(x) * x.new_empty(2, 1, 1).bernoulli_(0.9)), 6),
        (lambda m, x: m.b(torch.cat([x.new_zeros(2, 1, m.a.out_features), m.a(x)], 1)), 6),
        (lambda m, x: m.b(torch.where(torch.ones(m.a.out_features, dtype=torch.bool), m.a(x), 0.0)), 6),
        (
            lambda m, x: m.b(
                ((s := m.a(x)) @ s.mT + torch.full((3, 3), -torch.inf, dtype=x.dtype).triu(1)).softmax(-1) @ s
            ),
            6,
        ),
        (lambda m, x: m.b((s := m.a(x)).mul(torch.ones(3, 1).tril() == 1).cumsum(1) + s), 6),
    ],
)
def test_uniform(run, units):
    model, graph = traced(run, X, a=linear(), b=linear(6, 3))
    assert widths(graph) == {"a": units}
    assert not graph.unknown
    sound(model, graph, X)


@pytest.mark.parametrize(
    "make",
    [
        lambda m, x: torch.arange(m.a.out_features),
        lambda m, x: torch.linspace(0, 1, m.a.out_features, dtype=x.dtype),
        lambda m, x: torch.randn(m.a.out_features, dtype=x.dtype),
        lambda m, x: torch.ones(m.a.out_features, dtype=x.dtype).cumsum(0),
        lambda m, x: torch.ones(m.a.out_features, m.a.out_features, dtype=x.dtype).triu()[0],
        lambda m, x: F.one_hot(torch.tensor(2), m.a.out_features),
        lambda m, x: x.new_ones(m.a.out_features).sum(),
        lambda m, x: x.new_zeros(m.a.out_features).index_fill_(0, torch.tensor([0, 2]), 1),
        lambda m, x: x.new_zeros(m.a.out_features, m.a.out_features).fill_diagonal_(1).amax(1),
        lambda m, x: torch.ones(6, dtype=x.dtype),
        lambda m, x: x.new_full((m.a.out_features,), m.a.out_features),
    ],
)
def test_dependent_on_position_or_size(make):
    _, graph = traced(lambda m, x: m.b(m.a(x) * make(m, x)), X, a=linear(), b=linear(6, 3))
    assert "operator aten." in graph.groups["a"].pinned


class TestWrites:
    """What is written through one view is in all others."""

    @pytest.mark.parametrize(
        "write",
        [
            lambda s: s[0].fill_(1),
            lambda s: s[:1].fill_(1),
            lambda s: s[1:3].fill_(1),
            lambda s: s[::4].fill_(1),
            lambda s: s.__setitem__(torch.tensor([0, 2]), 1),
            lambda s: s.view(2, -1)[0, 0].fill_(1),
            lambda s: s.unfold(0, 2, 2)[:, 0].copy_(torch.arange(3)),
        ],
    )
    def test_positions(self, write):
        def run(m, x):
            scale = x.new_zeros(m.a.out_features)
            write(scale)
            return m.b(m.a(x) * scale)

        _, graph = traced(run, X, a=linear(), b=linear(6, 3))
        assert graph.groups["a"].pinned

    @pytest.mark.parametrize("early", [True, False])
    def test_loud_entries_written_into_zeros(self, early):
        """The base and a view taken before it was zeroed know that dead units hold something."""

        def run(m, x):
            h, out = m.a(x).sigmoid(), x.new_empty(2, 3, m.a.out_features)
            first = out[:, 0]
            out.zero_()
            (first if early else out[:, 0]).copy_(h[:, 0])
            return m.b((out @ m.k(x).sigmoid().mT).softmax(-1) @ x)

        _, graph = traced(run, X, a=linear(), k=linear(), b=linear(4, 3))
        assert "sum over activations" in graph.groups["a"].pinned

    def test_silent_entries_written_into_zeros(self):
        def run(m, x):
            h, out = m.a(x), x.new_zeros(2, 3, m.a.out_features)
            out[:, :2] = h[:, 1:]
            return m.b((out @ m.k(x).sigmoid().mT).softmax(-1) @ x)

        model, graph = traced(run, X, a=linear(), k=linear(), b=linear(4, 3))
        assert widths(graph) == {"a": 6}
        sound(model, graph, X)

    def test_a_view_taken_before_a_write_by_out(self):
        def run(m, x):
            out = x.new_empty(2, 3, m.a.out_features)
            view = out.view(2, 3, -1)
            torch.cat([m.a(x)], out=out)
            return m.b(view)

        model, graph = traced(run, X, a=linear(), b=linear(6, 3))
        assert {s.tensor for s in graph.groups["a"].slots} == {"a.weight", "a.bias", "b.weight"}
        sound(model, graph, X, seeds=())

    def test_an_index_write_pins(self):
        def run(m, x):
            out = x.new_zeros(2, 3, m.a.out_features)
            out[torch.tensor([0, 1]), :, torch.tensor([1, 2])] = 1.0
            return m.b(m.a(x) + out)

        _, graph = traced(run, X, a=linear(), b=linear(6, 3))
        assert graph.groups["a"].pinned


def test_labels_of_parameters_win_over_labels_of_nothing():
    """A parameter added to zeros is a shift of what it meets, in whatever order they come."""
    for add in (lambda p, z: p + z, lambda p, z: z + p):
        _, graph = traced(
            lambda m, x, add=add: m.b(m.a(x) + add(m.p, x.new_zeros(m.a.out_features))),
            X,
            a=linear(),
            p=nn.Parameter(torch.ones(6)),
            b=linear(6, 3),
        )
        roles = {s.tensor: str(s.role) for s in graph.groups["a"].slots}
        assert roles == {"a.weight": "produces", "a.bias": "shifts", "p": "shifts", "b.weight": "consumes"}


def test_a_layer_that_reads_what_the_model_made():
    model, graph = traced(
        lambda m, x: m.b(m.a(x) + m.c(x.new_ones(1, m.c.in_features))), X, a=linear(), c=linear(7, 6), b=linear(6, 3)
    )
    assert widths(graph) == {"a": 6, "c.inputs": 7}
    sound(model, graph, X)


def test_channels_padded_with_zeros():
    """A shortcut without parameters: the new channels belong to whoever is added to them."""

    def run(m, x):
        h = m.a(x)
        wider = torch.cat([h, x.new_zeros(2, 3, m.c.out_features - h.shape[-1])], -1)
        return m.b(wider + m.c(x))

    model, graph = traced(run, X, a=linear(), c=linear(4, 8), b=linear(8, 3))
    assert widths(graph) == {"a": 6, "c": 2}
    sound(model, graph, X)


def test_what_meets_no_parameter_is_in_no_group():
    _, graph = traced(lambda m, x: (m.b(m.a(x)), torch.zeros(5, 7).tril()), X, a=linear(), b=linear(6, 3))
    assert widths(graph) == {"a": 6} and not graph.unknown
    assert sum(s.index.numel() for g in graph.groups.values() for s in g.slots) == (6 + 4 + 6) + (3 + 6 + 3)
