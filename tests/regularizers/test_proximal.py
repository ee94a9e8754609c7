"""Proximal maps against brute-force minimisation and Moreau's identity; the iterations against numpy loops."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from torch import nn

from secateur.core.errors import IncompatibleError
from secateur.core.recipe import FineTune
from secateur.core.rng import generator
from secateur.graph.trace import trace
from secateur.methods import recipe
from secateur.regularizers import Proximal
from secateur.regularizers.base import group_factors, low_rank, shrunk
from secateur.testing import case as cases
from secateur.training import Session


def drawn(*shape):
    return torch.randn(*shape, generator=generator(0, *map(str, shape)), dtype=torch.float64)


def soft(x, tau):
    return shrunk(x, tau)


def group(x, tau):
    return x * group_factors(x.square().sum().view(1), torch.tensor([tau]).double())


MAPS = {
    "soft threshold": (soft, lambda x: x.abs().sum(), lambda x: x.abs().max()),
    "group": (group, lambda x: x.norm(), lambda x: x.norm()),
    "nuclear": (
        low_rank,
        lambda x: torch.linalg.svdvals(x).sum(),
        lambda x: torch.linalg.svdvals(x).max(),
    ),
}


@pytest.mark.parametrize("tau", [0.0, 0.3, 1.0, 10.0])
@pytest.mark.parametrize("name", MAPS)
def test_is_the_minimum(name, tau):
    """No point found by a search that knows nothing of the map does better than the map."""
    proximal, norm, _ = MAPS[name]
    v = drawn(3, 2)

    def objective(flat):
        x = torch.as_tensor(flat).view(3, 2)
        return float(0.5 * (x - v).square().sum() + tau * norm(x))

    found = proximal(v, tau)
    starts = [v, torch.zeros(3, 2).double(), found + 0.1 * drawn(2, 3).T]
    best = min(minimize(objective, start.flatten().numpy(), method="Powell", tol=1e-10).fun for start in starts)
    assert objective(found.flatten().numpy()) <= best + 1e-9
    if tau == 10.0:
        assert not found.any()


@pytest.mark.parametrize("name", MAPS)
def test_moreau(name):
    """What the map leaves and the projection onto the dual ball add up to the point."""
    proximal, _, dual = MAPS[name]
    v, tau = drawn(4, 3), 0.7
    rest = v - proximal(v, tau)
    assert float(dual(rest)) <= tau + 1e-12
    # the projection of v: of all points in the ball it is nearest, so it pairs with what is left to its full norm
    assert float((rest * proximal(v, tau)).sum()) == pytest.approx(tau * float(MAPS[name][1](proximal(v, tau))))


def network():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)).double()
    with torch.no_grad():
        model[0].weight.copy_(drawn(4, 3))
        model[2].weight.copy_(drawn(2, 4))
    return model, cases.moment(cases.Case(model, trace(model, torch.zeros(1, 3).double()), ()), lr=0.1)


def test_soft_threshold_in_place():
    model, at = network()
    before = model[0].weight.detach().clone().numpy()
    how = Proximal(strength=2.0)
    how.start(at)
    how.after_step(replace(at, step=1))
    assert np.allclose(model[0].weight.detach(), np.sign(before) * np.maximum(np.abs(before) - 0.2, 0), atol=1e-15)


def test_learning_rates_add_up_between_maps():
    model, at = network()
    before = model[0].weight.detach().clone()
    how = Proximal(strength=2.0, every=0)
    how.start(at)
    for step in (1, 2):
        how.after_step(replace(at, step=step))
    assert torch.equal(model[0].weight, before)
    how.after_epoch(replace(at, step=2, ended=True))
    assert torch.allclose(model[0].weight, soft(before, 0.4), atol=1e-15)
    assert at.memory["tau"].item() == 0


def test_overlapping_groups_by_proximal_averaging():
    model, at = network()
    w = model[0].weight.detach().clone()
    how = Proximal(strength=0.5, groups="filter+channel")
    how.start(at)
    how.after_step(replace(at, step=1))
    rows, columns = torch.zeros_like(w), torch.zeros_like(w)
    for row in range(4):  # twice the charge for half of the say
        rows[row] = w[row] * max(0.0, 1 - 2 * 0.1 * 0.5 * 3**0.5 / float(w[row].norm()))
    for column in range(3):
        columns[:, column] = w[:, column] * max(0.0, 1 - 2 * 0.1 * 0.5 * 4**0.5 / float(w[:, column].norm()))
    assert torch.allclose(model[0].weight, (rows + columns) / 2, atol=1e-14)


def test_accelerated_by_hand():
    """The three lines of Huang and Wang, in numpy, on a quadratic loss."""
    model, at = network()
    how = Proximal(strength=0.3, momentum=0.9)
    how.start(at)
    wanted = model[0].weight.detach().clone().numpy()
    goal, v = drawn(4, 3).numpy() * 0.1, np.zeros((4, 3))
    for step in range(1, 200):
        model.zero_grad()
        (0.5 * (model[0].weight - torch.as_tensor(goal)).square().sum()).backward()
        model[0].weight.data.add_(123.0)  # whatever the optimiser did is taken back
        how.after_step(replace(at, step=step))
        z = wanted - 0.1 * (wanted - goal)
        mapped = np.sign(z) * np.maximum(np.abs(z) - 0.1 * 0.3, 0)
        v = mapped - wanted + 0.9 * v
        wanted = mapped + 0.9 * v
        assert np.allclose(model[0].weight.detach(), wanted, atol=1e-12)
    # and it converges to the proximal map of the goal
    assert np.allclose(wanted, np.sign(goal) * np.maximum(np.abs(goal) - 0.3, 0), atol=1e-3)
    assert (wanted == 0).any()


def test_what_is_taken_is_not_charged():
    model, at = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    how = replace(recipe("li2017"), regularizer=Proximal(strength=20.0, groups="maker"), sparsify=FineTune())
    with Session(model, optimizer, how, graph=at.graph, steps=3) as session:
        for _ in range(3):
            loss = model(torch.ones(1, 3).double()).sum() * 0 + session.penalty()
            loss.backward()
            assert loss.item() == 0
            optimizer.step()
            session.step()
    assert not model[0].weight.any()
    assert not model[0].bias.any()


@pytest.mark.parametrize("settings", [{"momentum": 1.0}, {"momentum": 0.9, "every": 0}, {"groups": "filter+row"}])
def test_settings_that_make_no_sense(settings):
    with pytest.raises(IncompatibleError):
        Proximal(**settings)
