"""Splits and slices of unequal pieces: allowed where the numbers in the code follow a cut, which a trial finds out."""

import pytest
import torch
from torch import nn

from secateur.testing.nets import floats, sound, traced, widths

X = floats(2, 3, 4)


def linear(a=4, b=6):
    return nn.Linear(a, b)


class Cutter(nn.Module):
    """Keeps sizes and takes the last dim apart at them."""

    def __init__(self, cut, **sizes):
        super().__init__()
        self.cut = cut
        self.__dict__.update(sizes)

    def forward(self, h):
        return self.cut(self, h)


@pytest.mark.parametrize(
    ("cut", "sizes"),
    [
        (lambda m, h: h.split(m.sizes, -1), {"sizes": [2, 5]}),
        (lambda m, h: h.split([m.one, m.two], -1), {"one": 2, "two": 5}),
        (lambda m, h: (h[..., : m.one], h[..., m.one :]), {"one": 2}),
        (lambda m, h: (h[..., : -m.two], h[..., -m.two :]), {"two": 5}),
        (lambda m, h: (h.narrow(-1, 0, m.one), h.narrow(-1, m.one, m.two)), {"one": 2, "two": 5}),
    ],
)
def test_sizes_that_a_module_keeps(cut, sizes):
    def run(m, x):
        one, two = m.cut(m.a(x).sigmoid())
        return m.b(one) + m.c(two)

    model, graph = traced(run, X, a=linear(4, 7), cut=Cutter(cut, **sizes), b=linear(2, 3), c=linear(5, 3))
    assert widths(graph) == {"a": 2, "a#2": 5}
    assert {a.name for a in graph.attributes if a.module == "cut"} == set(sizes)
    sound(model, graph, X)


def test_a_tail_alone():
    model, graph = traced(
        lambda m, x: m.b(m.cut(m.a(x))) + m.c(m.a(x)),
        X,
        a=linear(4, 7),
        cut=Cutter(lambda m, h: h[..., m.one :], one=2),
        b=linear(5, 3),
        c=linear(7, 3),
    )
    assert widths(graph) == {"a": 2, "a#2": 5}
    sound(model, graph, X)


def test_widths_of_the_tensors_themselves():
    """Slices of a tensor made in forward, filled one by one."""

    def run(m, x):
        a, c = m.a(x), m.c(x)
        out = x.new_zeros(2, 3, a.shape[-1] + c.shape[-1])
        out[..., : a.shape[-1]] = a
        out[..., a.shape[-1] :] = c
        return m.b(out)

    model, graph = traced(run, X, a=linear(), c=linear(4, 5), b=linear(11, 3))
    assert widths(graph) == {"a": 6, "c": 5}
    sound(model, graph, X)


def test_a_layer_for_some_of_the_channels():
    model, graph = traced(
        lambda m, x: m.b(torch.cat([m.p((h := m.a(x))[..., : m.p.in_features]), h[..., m.p.in_features :]], -1)),
        X,
        a=linear(4, 7),
        p=linear(2, 2),
        b=linear(7, 3),
    )
    assert widths(graph) == {"a": 2, "a#2": 5, "p": 2}
    sound(model, graph, X)


class Attention(nn.Module):
    """Queries and keys narrower than values, packed into one projection; the number of heads equals the key width."""

    def __init__(self):
        super().__init__()
        self.heads, self.key, self.value, self.out = 2, 2, 4, 8
        self.qkv, self.proj = nn.Linear(4, 2 * (2 + 2 + 4)), nn.Linear(8, 4)

    def forward(self, x):
        batch, length, _ = x.shape
        packed = self.qkv(x).view(batch, length, self.heads, -1).transpose(1, 2)
        q, k, v = packed.split([self.key, self.key, self.value], 3)
        out = (q @ k.mT).softmax(-1) @ v
        return self.proj(out.transpose(1, 2).reshape(batch, length, self.out))


def test_equal_sizes_in_a_list_follow_pieces_of_their_own():
    def run(m, x):
        one, two, three = m.cut(m.a(x))
        return m.b(one) + m.c(two.sigmoid()) + m.d(three)

    model, graph = traced(
        run,
        X,
        a=linear(4, 9),
        cut=Cutter(lambda m, h: h.split(m.sizes, -1), sizes=(2, 2, 5)),
        b=linear(2, 3),
        c=linear(2, 3),
        d=linear(5, 3),
    )
    assert sorted(widths(graph).values()) == [2, 2, 5]
    assert sorted(a.item for a in graph.attributes if a.module == "cut") == [0, 1, 2]
    sound(model, graph, X)


def test_narrow_keys():
    model, graph = traced(lambda m, x: m.b(m.t(x)), X, t=Attention(), b=linear(4, 3))
    assert widths(graph) == {"t.qkv": 2, "t.qkv#2": 4, "t.proj": 4}
    values = next(s for s in graph.groups["t.qkv#2"].slots if s.tensor == "t.qkv.weight" and s.dim == 0)
    assert values.index.tolist() == [[u, u + 8] for u in range(4, 8)]
    sound(model, graph, X, seeds=range(6))


@pytest.mark.parametrize(
    "cut",
    [
        lambda h: h.split([2, 5], -1),
        lambda h: (h[..., :2], h[..., 2:]),
        lambda h: (h[..., : h.shape[-1] // 3], h[..., h.shape[-1] // 3 :]),
        lambda h: (h[..., : min(2, h.shape[-1])], h[..., 2:]),
        lambda h: (h[..., 5:], h[..., :5]),
        lambda h: (h[..., -2:], h[..., :-2]),
        lambda h: (h[..., 1:3], h[..., :5]),
        lambda h: (h[..., ::4], h[..., :5]),
    ],
)
def test_numbers_that_do_not_follow(cut):
    def run(m, x):
        one, two = cut(m.a(x))
        return m.b(one) + m.c(two)

    model, graph = traced(run, X, a=linear(4, 7), b=linear(2, 3), c=linear(5, 3))
    producers = [g for g in graph.groups.values() if any(s.tensor == "a.weight" and s.dim == 0 for s in g.slots)]
    assert sum(g.units for g in producers) == 7
    assert any("operator aten." in g.pinned for g in producers)
    sound(model, graph, X, seeds=(0, 1, 2) if graph.cuttable else ())  # the end of a tensor may go, its beginning not


def test_the_width_of_another_tensor():
    """It would fit by chance while both are cut alike; so both are cut alike."""

    def run(m, x):
        h, g = m.a(x), m.g(x)
        return m.b(h[..., : g.shape[-1]]) + m.c(h[..., g.shape[-1] :]) + m.d(g)

    model, graph = traced(run, X, a=linear(4, 7), g=linear(4, 2), b=linear(2, 3), c=linear(5, 3), d=linear(2, 3))
    assert widths(graph) == {"a": 2, "a#2": 5}
    assert {"a.weight", "g.weight", "d.weight"} <= {s.tensor for s in graph.groups["a"].slots}
    sound(model, graph, X)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["left", "right", "north", "south", "up", "down"])
def test_units_on_both_sides_of_a_piece_are_no_group(name):
    """Where the middle begins depends on what is left of it alone, so units to the right must not go in its place."""

    def run(m, x):
        return m.b(getattr(m, name)(x)[..., 1 : 1 + m.b.in_features])

    # The integer equals the length of the piece: making it follow helps nothing, and is not to be tried for ever.
    model, graph = traced(run, X, **{name: linear(4, 5)}, b=linear(3, 3), spare=3)
    outer = [g for g in graph.groups.values() for s in g.slots if s.tensor == f"{name}.weight" and s.index.numel() == 1]
    assert [len(outer), *(bool(g.pinned) for g in outer)] == [2, True, True]
    sound(model, graph, X, seeds=(0, 1, 2) if graph.cuttable else ())


def test_a_piece_of_the_right_length_at_the_wrong_place():
    """The slice in the middle is as long as it ought to be after every cut, and begins too late after some."""

    def run(m, x):
        h, g = m.a(x), m.g(x)
        middle = h[..., 2 : 2 + g.shape[-1]] * g
        return m.b(h[..., : m.b.in_features]) + m.c(middle) + m.d(h[..., -m.d.in_features :])

    model, graph = traced(run, X, a=linear(4, 7), g=linear(4, 3), b=linear(2, 3), c=linear(3, 3), d=linear(2, 3))
    reasons = [g.pinned for g in graph.groups.values() if any(s.tensor == "a.weight" and s.dim == 0 for s in g.slots)]
    assert any("begins at entry 2 instead of 1" in reason for reason in reasons)
    sound(model, graph, X)


def test_pieces_in_training_mode_only():
    """No integer is made to follow for training mode alone: what does not by itself is pinned."""

    class Auxiliary(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.head, self.one, self.side = nn.Linear(4, 7), nn.Linear(7, 3), 2, nn.Linear(2, 3)

        def forward(self, x):
            h = self.stem(x)
            return (self.head(h), self.side(h[..., : self.one])) if self.training else self.head(h)

    _, graph = traced(lambda m, x: m.net(x), X, net=Auxiliary())
    assert "gives [2, 3, 2] instead of [2, 3, 1] after a cut: operator aten.slice" in graph.groups["net.stem"].pinned


def test_two_products_in_one_packed_layer():
    """Queries and keys, and those of a gate: units live in the same tensor alone, but each piece has a size to follow."""

    def run(m, x):
        q, k, g, h = m.cut(m.a(x))
        return m.b((q @ k.mT + g @ h.mT).sigmoid() @ m.c(x))

    cut = Cutter(lambda m, h: h.split(m.sizes, -1), sizes=(6, 6, 4, 4))
    model, graph = traced(run, X, a=linear(4, 20), cut=cut, c=linear(), b=linear(6, 3))
    assert widths(graph) == {"a": 6, "a#2": 4, "c": 6}
    sound(model, graph, X)
