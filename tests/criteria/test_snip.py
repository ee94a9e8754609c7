import torch
from torch import nn

from benchmarks.criteria.oracles import snip as oracle
from secateur.criteria import SNIP
from secateur.evidence import collect
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import score


def test_against_the_gradient_of_a_mask():
    assert oracle.error() < 1e-12


def test_batches_are_one_batch_and_signs_cancel_before_the_absolute_value():
    """y = w x, L = mean(y): w g is w mean(x)."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[3.0, -2.0]]))
    x = torch.tensor([[1.0, 1.0], [-1.0, 2.0], [2.0, 3.0]]).double()
    graph = trace(model, x)
    for parts in ([x], [x[:1], x[1:]]):
        found = collect(model, [(p, None) for p in parts], SNIP.needs, graph=graph, loss=lambda y, _: y.mean())
        assert torch.allclose(
            score(graph, SNIP(), found, granularity=Weight()).values["0.weight"],
            torch.tensor([3 * 2 / 3, 2 * 2.0]).double(),
            rtol=1e-12,
        )
