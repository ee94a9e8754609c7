"""Which channels go together: against all choices, and against the error of the next layer itself."""

from itertools import combinations

import pytest
import torch
from torch import nn

import secateur
from secateur.core.errors import IncompatibleError
from secateur.criteria import Magnitude
from secateur.granularity import Weight as Weights
from secateur.search import ChannelGenetic, channel_genetic

UNITS = 10


@pytest.fixture(scope="module")
def line():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, UNITS), nn.ReLU(), nn.Linear(UNITS, 5)).double()
    x = torch.randn(200, 6, dtype=torch.float64)
    graph = secateur.trace(model, x[:1])
    evidence = secateur.collect(model, [(x, None)], ChannelGenetic.needs, graph=graph)
    scores = secateur.score(graph, Magnitude(), evidence)
    return model, x, evidence, secateur.plan(graph, scores, secateur.Budget(0.5, "units"))


def error(model, x, keep):
    """Mean squared change of the outputs when channels go, by running both."""
    hidden = torch.relu(model[0](x)).detach()
    gone = hidden * (~keep).double()
    return float((gone @ model[2].weight.detach().T).square().sum(1).mean())


def test_best_of_all(line):
    model, x, evidence, start = line
    made = channel_genetic(start, evidence)
    assert int(made.kept["0"].sum()) == UNITS // 2
    every = []
    for stays in combinations(range(UNITS), UNITS // 2):
        keep = torch.zeros(UNITS, dtype=torch.bool)
        keep[list(stays)] = True
        every.append(error(model, x, keep))
    assert error(model, x, made.kept["0"]) == pytest.approx(min(every), rel=1e-9)
    assert min(every) < error(model, x, start.kept["0"]) - 1e-6  # and magnitude did not choose it


def test_never_worse_and_seeded(line):
    model, x, evidence, start = line
    small = ChannelGenetic(population=3, generations=2)
    for seed in range(5):
        made = channel_genetic(start, evidence, settings=small, seed=seed)
        assert error(model, x, made.kept["0"]) <= error(model, x, start.kept["0"]) + 1e-12
        assert made.digest() == channel_genetic(start, evidence, settings=small, seed=seed).digest()
    assert made.provenance.allocation.endswith(f"then {small!r}")


def test_other_units(line):
    evidence, start = line[2:]
    scores = secateur.score(start.graph, Magnitude(), evidence, granularity=Weights())
    with pytest.raises(IncompatibleError, match="plan of Weight"):
        channel_genetic(secateur.plan(start.graph, scores, secateur.Budget(0.5, "weights")), evidence)
    with pytest.raises(IncompatibleError, match="generations"):
        ChannelGenetic(generations=0)
