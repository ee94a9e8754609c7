"""`rebuild`: counted costs, what is left alone, and that pruning and training go on afterwards."""

import copy

import pytest
import torch
from torch import nn

import secateur
from secateur.compact import COMPACTS, Ghost
from secateur.core.errors import UnknownNameError, UnsupportedError
from secateur.core.recipe import FineTune
from secateur.core.rng import generator
from secateur.criteria import Magnitude
from secateur.distill import Distill, taught
from secateur.measure import macs, parameters
from secateur.training import train_


def small():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(),
            nn.Conv2d(12, 12, 3, padding=1, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 4),
        ).eval()  # fmt: skip


X = torch.randn(4, 3, 8, 8, generator=generator(0, "rebuild tests"))


@pytest.mark.parametrize("name", list(COMPACTS))
def test_costs_are_counted(name):
    model = small()
    before = copy.deepcopy(model.state_dict())
    found = secateur.rebuild(model, name, example_inputs=X)
    assert found.macs == (macs(model, X), macs(found.model, X))
    assert found.params == (parameters(model), parameters(found.model))
    assert found.macs[1] < found.macs[0]
    assert {"3", "5"} <= set(found.layers)
    assert "Linear" in found.whole["9"]
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert "network: MACs" in str(found)


@pytest.mark.parametrize("compact", [*COMPACTS, Ghost(choose=False)], ids=str)
def test_pruning_goes_on(compact):
    only = ["5"] if compact == "ghost" else ["*"]  # it pins the channels that it puts in order
    found = secateur.rebuild(small(), compact, example_inputs=X, only=only).model
    graph = secateur.trace(found, X)
    assert not graph.unknown
    scores = secateur.score(graph, Magnitude(), secateur.collect(found, None, Magnitude.needs, graph=graph))
    plan = secateur.plan(graph, scores, secateur.Budget("0.8 units"))
    assert secateur.verify(found, plan) < 1e-5
    assert macs(secateur.shrink(secateur.mask(found, plan), plan), X) < macs(found, X)


def test_distilling_brings_it_nearer():
    model = small()
    found = secateur.rebuild(model, "depthwise_separable", example_inputs=X).model
    inputs = [torch.randn(16, 3, 8, 8, generator=generator(k, "rebuild data")) for k in range(4)]
    batches = [(x, model(x).argmax(1).detach()) for x in inputs]

    def gap():
        with torch.no_grad():
            return float((found.eval()(X) - model(X)).square().mean())

    before = gap()
    with taught(found, model, Distill(weight=1.0, task=0.0)) as lesson:
        train_(found, lesson.batches(batches), FineTune(epochs=15, lr=0.003, optimizer="adam"), loss=lesson.loss)
    assert gap() < before


def test_what_is_refused():
    with pytest.raises(UnsupportedError, match="no layer"):
        secateur.rebuild(small(), "fire", example_inputs=X, only=["9"])
    with pytest.raises(UnknownNameError, match="no_such"):
        secateur.rebuild(small(), "fire", example_inputs=X, frozen=["no_such"])
    with pytest.raises(UnknownNameError, match="compact block"):
        secateur.rebuild(small(), "fires", example_inputs=X)
    assert set(secateur.rebuild(small(), "ghost", example_inputs=X, frozen=["0", "3"]).layers) == {"5"}
