from itertools import combinations

import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import thinet as oracle
from secateur.core.errors import IncompatibleError
from secateur.criteria import ThiNet
from secateur.criteria.base import contributions
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import plan_by_hand, score
from secateur.testing import case as cases


def scored(model, x):
    graph = trace(model, x)
    evidence = collect(model, [(x, None)], ThiNet.needs, graph=graph)
    return graph, evidence, score(graph, ThiNet(), evidence).values


def test_agrees_with_its_oracle():
    assert oracle.error() < 1e-12


def test_by_hand():
    """Outputs 3a, -3b and 1c of inputs that are always equal: a and b cancel, so together they go before c."""
    model = nn.Sequential(nn.Linear(1, 3, bias=False), nn.Linear(3, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.fill_(1)
        model[1].weight.copy_(torch.tensor([[3.0, -3.0, 4.0]]))
    _, _, values = scored(model, torch.ones(2, 1, dtype=torch.float64))
    # first a or b (9 < 16; of equals the higher number), then a (error 0) and not c
    assert values["0"].tolist() == [1, 0, 2]


def test_greedy_and_best_sets():
    """Greedy may miss the best set, and is never far below the error that it claims."""
    subject = cases.normed()
    group = subject.first()
    moments = contributions(group, subject.evidence(ThiNet.needs))
    turns = ThiNet().score(group, subject.evidence(ThiNet.needs))
    for size in range(1, group.units):
        chosen = (turns < size).nonzero().flatten().tolist()
        errors = {t: float(moments[list(t)][:, list(t)].sum()) for t in combinations(range(group.units), size)}
        assert min(errors.values()) <= errors[tuple(chosen)] <= 2 * min(errors.values())


def test_layers_with_groups():
    """A convolution in two groups reads the same positions of both: errors of both add up, here by masking channels."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 6, 1), nn.ReLU(), nn.Conv2d(6, 4, 3, groups=2), nn.Flatten(), nn.Linear(16, 2))
    model, x = model.double(), torch.randn(5, 2, 4, 4, dtype=torch.float64)
    graph, evidence, _ = scored(model, x)
    group = graph.cuttable["0"]
    assert group.units == 3
    moments = contributions(group, evidence)
    hidden = model[1](model[0](x)).detach()
    for unit in range(3):
        changed = hidden.clone()
        changed[:, [unit, unit + 3]] = 0
        wanted = (model[2](hidden) - model[2](changed)).square().sum(1).mean().item()
        assert float(moments[unit, unit]) == pytest.approx(wanted, rel=1e-12)


def test_a_group_that_nothing_reads_is_refused():
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.ReLU(), nn.ConvTranspose2d(4, 2, 3)).double()
    with pytest.raises(IncompatibleError, match=r"reads '0'.*frozen=\[\"0\"\]"):
        scored(model, torch.randn(1, 2, 5, 5, dtype=torch.float64))


def test_any_budget_cuts_a_prefix():
    subject = cases.normed()
    turns = ThiNet().score(subject.first(), subject.evidence(ThiNet.needs))
    made = plan_by_hand(subject.graph, {subject.first().name: (turns >= 2).nonzero().flatten().tolist()})
    assert made.width(subject.first().name) == subject.first().units - 2
    assert sorted(turns.tolist()) == list(range(subject.first().units))
