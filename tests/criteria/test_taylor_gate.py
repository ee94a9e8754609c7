import torch
from torch import nn

from benchmarks.criteria.oracles import taylor_gate as oracle
from secateur.criteria import TaylorGate
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score
from secateur.testing.models import TINY
from secateur.testing.system import prepare, squared


def scores(model, batches, loss):
    graph = trace(model, batches[0][0])
    return score(graph, TaylorGate(), collect(model, batches, TaylorGate.needs, graph=graph, loss=loss)).values


def test_against_real_gates():
    assert oracle.error() < 1e-12


def test_by_hand():
    """y = v . (W x), L = mean(y): the gate of unit i has gradient v_i h_i, summed over all that reads it, then squared."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.Identity(), nn.Linear(2, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [2.0]]))
        model[2].weight.copy_(torch.tensor([[3.0, 1.0], [-1.0, -1.0]]))
    x = torch.ones(1, 1).double()
    # unit 0: (3 - 1) 1 = 2; unit 1: (1 - 1) 2 = 0, where a sum of squares would have given 4 + 4
    assert scores(model, [(x, None)], lambda y, _: y.sum())["0"].tolist() == [4, 0]


def test_brute_force_small_units():
    """The loss moves by the gate's gradient, to first order, when a unit that is read weakly goes altogether."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 5), nn.Tanh(), nn.Linear(5, 2)).double()
    with torch.no_grad():
        model[2].weight.mul_(1e-5)
    x, y = torch.randn(8, 3).double(), torch.randint(2, (8,))
    loss = nn.functional.cross_entropy
    found = scores(model, [(x, y)], loss)["0"]
    with torch.no_grad():
        full = loss(model(x), y)
        for unit in range(4):
            h = model[:2](x)
            h[:, unit] = 0
            assert abs(float(found[unit]) ** 0.5 / abs(float(loss(model[2:](h), y) - full)) - 1) < 1e-3


def test_several_readers_and_attention():
    """Gates put into the network by hand: one on all that reads a residual stream, and one on each value position."""
    prepared = prepare(TINY["residual"])
    evidence = collect(prepared.model, prepared.batches, TaylorGate.needs, graph=prepared.graph, loss=squared)
    found = score(prepared.graph, TaylorGate(), evidence).values["stem"]
    model, wanted = prepared.model, torch.zeros(5, dtype=torch.float64)
    for x, _ in prepared.batches:
        gate = torch.ones(5, dtype=torch.float64, requires_grad=True)
        hooks = [
            layer.register_forward_pre_hook(lambda _, args, gate=gate: (args[0] * gate[:, None, None],))
            for layer in (model.first, model.project)
        ]
        squared(x.call(model)).backward(inputs=[gate])
        for hook in hooks:
            hook.remove()
        wanted += gate.grad**2 / len(prepared.batches)
    assert torch.allclose(found, wanted, rtol=1e-10)


def test_without_a_reader_the_gate_is_where_units_are_made():
    """Queries and keys meet each other only; both gates of a position count, since both go."""
    prepared = prepare(TINY["attention"])
    evidence = collect(prepared.model, prepared.batches, TaylorGate.needs, graph=prepared.graph, loss=squared)
    values = score(prepared.graph, TaylorGate(), evidence).values
    assert all(bool((v > 0).all()) for v in values.values())
