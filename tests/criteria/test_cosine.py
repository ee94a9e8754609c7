import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import cosine as oracle
from secateur.core.errors import IncompatibleError
from secateur.criteria import Cosine
from secateur.evidence import collect
from secateur.graph.trace import trace
from secateur.planning import score


def scores(filters, by="max"):
    filters = torch.tensor(filters).double()
    model = nn.Sequential(nn.Linear(filters.shape[1], len(filters)), nn.ReLU(), nn.Linear(len(filters), 1)).double()
    with torch.no_grad():
        model[0].weight.copy_(filters)
    graph = trace(model, torch.zeros(1, filters.shape[1], dtype=torch.float64))
    return score(graph, Cosine(by=by), collect(model, None, Cosine.needs, graph=graph)).values["0"].tolist()


def test_against_a_double_loop():
    assert oracle.error() < 1e-12


def test_by_hand():
    filters = [[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]]
    half = 0.5**0.5
    assert scores(filters) == pytest.approx([1 - half] * 3)
    assert scores(filters, "mean") == pytest.approx([1 - half / 2, 1 - half / 2, 1 - half])


def test_opposite_filters_are_not_alike():
    assert scores([[1.0, 0.0], [-5.0, 0.0]]) == pytest.approx([2, 2])


def test_length_does_not_matter_and_zeros_go_first():
    assert scores([[1.0, 1.0], [7.0, 7.0], [0.0, 0.0], [1.0, -1.0]]) == pytest.approx([0, 0, 0, 1], abs=1e-15)


def test_other_measures_are_refused():
    with pytest.raises(IncompatibleError, match="by must be 'max' or 'mean'"):
        Cosine(by="min")
