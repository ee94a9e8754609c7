"""Sizes that a forward takes from another dim: those dims are joined, and no integer is to follow in their place."""

import pytest
from torch import nn
from torch.nn import functional as F

from secateur.graph import settle
from secateur.testing.nets import floats, sound, traced, widths

X = floats(2, 3, 8)


class Attention(nn.Module):
    """Takes the width of a head from the keys, and means queries and values too."""

    def __init__(self, dim, inner, heads):
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v = (nn.Linear(dim, inner) for _ in range(3))
        self.out = nn.Linear(inner, dim)

    def forward(self, x):
        q, k, v = self.q(x), self.k(x), self.v(x)
        width = k.shape[-1] // self.heads
        q, k, v = (y.view(*x.shape[:2], self.heads, width).transpose(1, 2) for y in (q, k, v))
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(*x.shape[:2], self.heads * width))


def test_dims_are_joined_before_integers_are_tried(monkeypatch):
    monkeypatch.setattr(settle, "mend", lambda *_: pytest.fail("no integer is at fault"))
    model, graph = traced(lambda m, x: m.b(m.a(x)), X, a=Attention(8, 12, 2), b=nn.Linear(8, 3))
    assert widths(graph) == {"a.q": 6, "a.out": 8}
    sound(model, graph, X)


@pytest.mark.parametrize("second", [16, 20])
def test_an_integer_that_follows_in_one_module_and_not_in_another_of_its_class(second):
    """Four heads of two entries lose heads, four of four or five lose entries of all heads."""

    def run(m, x):
        return m.b(m.two(m.one(x)))

    layers = {"one": Attention(8, 8, 4), "two": Attention(8, second, 4), "b": nn.Linear(8, 3)}
    model, graph = traced(run, X, **layers)
    assert [a.module for a in graph.attributes if a.name == "heads"] == ["one"]
    assert {n: u for n, u in widths(graph).items() if n.startswith("two")} == {"two.q": second // 4, "two.out": 8}
    sound(model, graph, X)


def test_a_stale_integer_in_a_call_that_borrows_another_size():
    """One size of the view is right by itself; the other is kept by the module, and is no dim's to give."""

    def run(m, x):
        h = m.a(x)
        return m.b(h.view(2, 3, h.shape[-1] // m.size, m.size).mean(2))

    model, graph = traced(run, X, a=nn.Linear(8, 6), b=nn.Linear(2, 3), size=2)
    sound(model, graph, X, seeds=(0, 1) if graph.cuttable else ())


def test_numbers_that_weights_make_up_for_are_made_up_for_in_training_too():
    """Scores are divided by the root of a width; a head for training alone makes that pass another one."""

    def run(m, x):
        y = m.a(x)
        return (m.b(y), m.c(y).sigmoid()) if m.training else m.b(y)

    model, graph = traced(run, X, a=Attention(8, 12, 2), b=nn.Linear(8, 3), c=nn.Linear(8, 5))
    assert widths(graph) == {"a.q": 6, "a.out": 8}
    sound(model, graph, X)
