import pytest
import torch
from torch import nn

from benchmarks.criteria.oracles import _layers as o
from benchmarks.criteria.oracles import obs
from secateur.core.errors import IncompatibleError
from secateur.criteria import OBS
from secateur.evidence import collect
from secateur.graph.trace import trace


def saliency(model, x, **how):
    graph = trace(model, x)
    return OBS(**how).saliency("0.weight", collect(model, [(x, None)], OBS.needs, graph=graph))


def test_against_solving_anew_without_each_weight():
    assert obs.error() < 1e-11


def test_by_hand():
    """E[x x^T] = [[2, 1], [1, 2]] has the inverse [[2, -1], [-1, 2]] / 3: scores are w^2 * 3 / 2."""
    model = nn.Sequential(nn.Linear(2, 1, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.tensor([[2.0, -3.0]]))
    x = torch.tensor([[2.0, 1.0], [0.0, 3**0.5]]).double()
    assert saliency(model, x, damping=0.0).flatten().tolist() == pytest.approx([6, 13.5])


def test_inputs_that_are_always_zero():
    """Their weights matter to nobody, and leave the scores of the others alone."""
    model = nn.Sequential(nn.Linear(4, 2)).double()
    x = o.numbers(30, 4)
    x[:, 1] = 0
    found = saliency(model, x)
    assert not found[:, 1].any()
    less = nn.Sequential(nn.Linear(3, 2)).double()
    with torch.no_grad():
        less[0].weight.copy_(model[0].weight[:, [0, 2, 3]])
    assert torch.allclose(found[:, [0, 2, 3]], saliency(less, x[:, [0, 2, 3]]), rtol=1e-12)


def test_fewer_examples_than_entries():
    model = nn.Sequential(nn.Linear(6, 2)).double()
    x = o.numbers(3, 6)
    assert torch.isfinite(saliency(model, x)).all()
    with pytest.raises(IncompatibleError, match=r"'0.weight' sees is singular.*larger damping"):
        saliency(model, torch.ones(3, 6, dtype=torch.float64), damping=0.0)
    with pytest.raises(IncompatibleError, match="damping must be 0 or more"):
        OBS(damping=-1.0)


def test_parameters_of_no_layer():
    model = nn.Sequential(nn.Linear(3, 2)).double()
    x = o.numbers(3, 3)
    evidence = collect(model, [(x, None)], OBS.needs, graph=trace(model, x))
    with pytest.raises(
        IncompatibleError, match=r"knows nothing of '0.bias'.*If it is a bias.*magnitude, taylor or obd"
    ):
        OBS().saliency("0.bias", evidence)
