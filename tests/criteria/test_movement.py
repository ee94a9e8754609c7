import copy

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.criteria.oracles import movement as oracle
from secateur.core.errors import SecateurError
from secateur.criteria import Movement
from secateur.evidence import Trajectory, collect
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import score
from secateur.testing import case as cases


def test_against_softmax_regression_by_hand():
    assert oracle.error() < 1e-12


def test_against_the_optimizer_of_torch():
    case = cases.normed()
    found = case.evidence([Trajectory])[Trajectory]
    model = copy.deepcopy(case.model)
    optimizer = torch.optim.SGD(model.parameters(), lr=Trajectory.lr)
    wanted = {n: torch.zeros_like(p) for n, p in model.named_parameters()}
    for x, y in case.batches:
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        for name, p in model.named_parameters():
            wanted[name] -= p.detach() * p.grad
        optimizer.step()
    for name, values in found.items():
        assert torch.allclose(values, wanted[name], rtol=1e-12, atol=1e-15)


def test_growing_weights_stay():
    """y = w x with w = (1, -1), L = -y_0 + ... : descent makes the first weight larger and the second one smaller."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0, -1.0]]))
    x = torch.tensor([[1.0, 1.0]]).double()
    graph = trace(model, x)
    evidence = collect(model, [(x, None)] * 3, Movement.needs, graph=graph, loss=lambda y, _: -y.mean())
    found = score(graph, Movement(), evidence, granularity=Weight()).values["0.weight"].tolist()
    # gradient -1 in both: w grows by 0.001 in each step
    assert found == pytest.approx([1 + 1.001 + 1.002, -1 - 0.999 - 0.998], rel=1e-12)


def test_divergence_is_named():
    model = nn.Sequential(nn.Linear(1, 1)).double()
    x = torch.full((1, 1), float("nan"), dtype=torch.float64)
    graph = trace(model, torch.zeros(1, 1, dtype=torch.float64))
    with pytest.raises(SecateurError, match="the loss is nan while movement is followed"):
        collect(model, [(x, None)], Movement.needs, graph=graph, loss=lambda y, _: y.mean())
