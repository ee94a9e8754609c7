"""ADMM on quadratics whose constrained minimum is known."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.recipe import FineTune, Recipe
from secateur.core.rng import generator
from secateur.criteria import Magnitude
from secateur.evidence import Weight as Weights
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import decide
from secateur.regularizers import ADMM
from secateur.schedules import Geometric, OneShot
from secateur.testing import case as cases
from secateur.training import Session


def network():
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.ReLU(), nn.Linear(3, 2, bias=False)).double()
    return model, trace(model, torch.zeros(1, 4).double())


def drawn(*shape):
    return torch.randn(*shape, generator=generator(0, *map(str, shape)), dtype=torch.float64)


def how(regularizer, schedule=None):
    return Recipe(
        criterion=Magnitude(),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=schedule or OneShot(),
        budget=Budget("0.5 weights"),
        regularizer=regularizer,
        sparsify=FineTune(),
    )


def trained(model, graph, recipe, losses, epochs=60, steps=20):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    with Session(model, optimizer, recipe, graph=graph, steps=epochs * steps) as session:
        for _ in range(epochs):
            for _ in range(steps):
                optimizer.zero_grad()
                (losses(model) + session.penalty()).backward()
                optimizer.step()
                session.step()
            session.epoch()
        return dict(session._memory["regularizer"])


def test_converges_to_the_largest_weights():
    """min sum 1/2 (w - a)^2 with half of each layer's weights: the largest |a| stay as they are, the rest are zero."""
    model, graph = network()
    goals = [drawn(3, 4), drawn(2, 3)]

    def losses(model):
        return sum(0.5 * (m.weight - goal).square().sum() for m, goal in zip((model[0], model[2]), goals, strict=True))

    with torch.no_grad():  # the problem is not convex: begin where the largest goals are the largest weights
        for layer, goal in zip((model[0], model[2]), goals, strict=True):
            layer.weight.copy_(0.5 * goal)
    memory = trained(model, graph, how(ADMM(rho=2.0, growth=1.0)), losses, epochs=40, steps=10)
    for layer, name, goal in zip((model[0], model[2]), ("0.weight", "2.weight"), goals, strict=True):
        keep = goal.abs() > goal.abs().flatten().sort().values[goal.numel() // 2 - 1]
        assert int(keep.sum()) == goal.numel() // 2
        assert torch.allclose(layer.weight, goal * keep, atol=1e-6)
        assert torch.allclose(memory[f"z:{name}"], goal * keep, atol=1e-6)
        # the multiplier is the gradient of the loss there: rho u = a - w
        assert torch.allclose(2.0 * memory[f"u:{name}"], goal * ~keep, atol=1e-6)


def test_a_rising_pull_leaves_the_multiplier_as_it_was():
    model, graph = network()
    goals = [drawn(3, 4), drawn(2, 3)]

    def losses(model):
        return sum(0.5 * (m.weight - goal).square().sum() for m, goal in zip((model[0], model[2]), goals, strict=True))

    memory = trained(model, graph, how(ADMM(rho=0.2, growth=1.2, ceiling=2.0)), losses)
    assert memory["rho"].item() == 2.0
    keep = memory["z:0.weight"] != 0
    assert torch.allclose(2.0 * memory["u:0.weight"], goals[0] * ~keep, atol=1e-6)


def test_first_charge_by_hand():
    model, graph = network()
    at = cases.moment(cases.Case(model, graph, ()))
    at = replace(at, decide=lambda keep, saliency, again: _weights(graph, saliency, keep))
    regularizer = ADMM(rho=0.1)
    regularizer.start(at)
    gone = [m.weight.detach().abs().flatten().sort().values[: m.weight.numel() // 2] for m in (model[0], model[2])]
    assert regularizer.penalty(at).item() == pytest.approx(0.05 * sum(float(g.square().sum()) for g in gone))
    regularizer.after_epoch(replace(at, ended=True))
    assert at.memory["rho"].item() == pytest.approx(0.15)
    # u took in what goes, over 1.5; so it is charged (1 + 1 / 1.5)^2 times now
    wanted = 0.5 * 0.15 * sum(float(g.square().sum()) for g in gone) * (1 + 1 / 1.5) ** 2
    assert regularizer.penalty(at).item() == pytest.approx(wanted)


def _weights(graph, saliency, keep):
    return decide(graph, Magnitude(), Evidence({Weights: saliency}), Budget(keep, "weights"), granularity=Weight())


def test_progressive():
    """With a schedule, less stays in Z as training goes on."""
    model, graph = network()
    at = cases.moment(cases.Case(model, graph, ()), keep=lambda t: 0.25**t, steps=2)
    at = replace(at, decide=lambda keep, saliency, again: _weights(graph, saliency, keep))
    regularizer = ADMM()
    regularizer.start(at)
    counts = [int((at.memory["z:0.weight"] != 0).sum())]
    for step in (1, 2):
        regularizer.after_epoch(replace(at, step=step, ended=True))
        counts.append(int((at.memory["z:0.weight"] != 0).sum()))
    assert counts == [12, 6, 3]
    assert Geometric().keep(0.5, 0.25) == 0.5


def test_settings_that_make_no_sense():
    with pytest.raises(IncompatibleError, match=r"growth=0\.5"):
        ADMM(growth=0.5)
