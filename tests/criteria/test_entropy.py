from math import log

import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import entropy as oracle
from secateur.core.errors import IncompatibleError
from secateur.criteria import Entropy
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def test_against_numpys_histogram():
    assert oracle.error() < 1e-12


def test_by_hand():
    """Unit 0 takes 0, 0, 1, 2: with four bins counts (2, 0, 1, 1); unit 1 never moves."""
    model = nn.Sequential(nn.Linear(1, 2, bias=False), nn.ReLU(), nn.Linear(2, 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[1.0], [0.0]]))
    x = torch.tensor([[0.0], [-3.0], [1.0], [2.0]]).double()
    graph = trace(model, x)
    evidence = collect(model, [(x[:3], None), (x[3:], None)], Entropy.needs, graph=graph)
    found = score(graph, Entropy(bins=4), evidence).values["0"].tolist()
    assert found == pytest.approx([0.5 * log(2) + 0.5 * log(4), 0], rel=1e-12)


def test_one_bin_is_refused():
    with pytest.raises(IncompatibleError, match="bins must be 2 or more"):
        Entropy(bins=1)
