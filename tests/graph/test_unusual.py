"""Networks of unusual make, each on its own way through torch: cut right, or refused in words."""

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from secateur.core.errors import TraceError
from secateur.graph.trace import trace
from secateur.testing.nets import floats, sound, traced, widths

X = floats(2, 3, 4)


def linear(a=4, b=6):
    return nn.Linear(a, b)


class Swish(torch.autograd.Function):
    """With a gradient of its own."""

    @staticmethod
    def forward(ctx, x):
        return x * x.sigmoid()

    @staticmethod
    def backward(ctx, grad):
        return grad


@pytest.mark.parametrize(
    "function",
    [
        Swish.apply,
        torch.vmap(torch.relu),
        lambda h: torch.where(h > h.mean(-1, keepdim=True), h, torch.zeros_like(h)),
        lambda h: h * torch.rsqrt(h.pow(2).mean(-1, keepdim=True) + 1e-6),
        torch.compile(torch.relu, backend="eager"),
    ],
)
def test_functions(function):
    model, graph = traced(lambda m, x: m.b(function(m.a(x))), X, a=linear(), b=linear(6, 3))
    assert widths(graph) == {"a": 6}
    sound(model, graph, X)


def test_checkpointing():
    def run(m, x):
        return m.b(checkpoint(lambda y: m.a(y).relu(), x, use_reentrant=False))

    model, graph = traced(run, X, a=linear(), b=linear(6, 3))
    assert widths(graph) == {"a": 6}
    sound(model, graph, X)


@pytest.mark.filterwarnings("ignore:Using `torch.compile")  # the oracle that counts operations hooks into all modules
def test_a_compiled_part():
    part = torch.compile(nn.Sequential(linear(), nn.ReLU(), linear(6, 5)), backend="eager")
    model, graph = traced(lambda m, x: m.b(m.part(x)), X, part=part, b=linear(5, 3))
    assert widths(graph) == {"part._orig_mod.0": 6, "part._orig_mod.2": 5}
    sound(model, graph, X)


def test_messages_along_the_edges_of_a_graph():
    """As graph networks pass them: taken at one end, summed at the other."""

    def run(m, x):
        h = m.a(x)
        ends = h.index_select(1, m.edges[0])
        into = m.edges[1].view(1, -1, 1).expand_as(ends)
        summed = h.new_zeros(h.shape).scatter_add_(1, into, ends)
        largest = torch.zeros_like(h).scatter_reduce(1, into, ends, "amax", include_self=False)
        return m.b((h + summed).relu() * largest)

    edges = nn.Buffer(torch.tensor([[0, 1, 2, 0], [1, 2, 0, 2]]))
    model, graph = traced(run, X, a=linear(), b=linear(6, 3), edges=edges)
    assert widths(graph) == {"a": 6}
    sound(model, graph, X)


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_compressed_rows_cannot_be_copied():
    """Not by torch itself."""
    model = nn.Sequential(linear())
    model.register_buffer("rows", torch.eye(3).to_sparse_csr())
    with pytest.raises(TraceError, match="cannot be copied"):
        trace(model, torch.zeros(2, 4))
