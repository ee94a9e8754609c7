"""Rounds of scoring with and without training between them."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn

import secateur
from secateur.core.rng import generator
from secateur.methods import METHODS
from secateur.schedules import Exponential, Geometric, OneShot

QUICK = secateur.Run(runtimes=())
WIDTHS = (6, 12, 10, 4)


def network():
    layers = []
    for number, (i, o) in enumerate(pairwise(WIDTHS)):
        layers += [nn.Linear(i, o, bias=False), nn.ReLU()]
        with torch.no_grad():
            layers[-2].weight.copy_(torch.randn(o, i, generator=generator(number)) * 3**number)
    return nn.Sequential(*layers[:-1])


def flow_by_hand(model, keep, steps):
    """What iterative synaptic flow leaves: the flow through w_ij is (all behind j) |w_ij| (all in front of i)."""
    weights = [m.weight.detach().double().abs().numpy() for m in model if isinstance(m, nn.Linear)]
    masks, total = [np.ones_like(w) for w in weights], sum(w.size for w in weights)
    for step in range(1, steps + 1):
        live = [w * m for w, m in zip(weights, masks, strict=True)]
        scores = []
        for number, w in enumerate(live):
            into, out = np.ones(WIDTHS[0]), np.ones(WIDTHS[-1])
            for before in live[:number]:
                into = before @ into
            for behind in reversed(live[number + 1 :]):
                out = behind.T @ out
            scores.append(out[:, None] * w * into[None, :])
        share = keep if step == steps else keep ** (step / steps)
        order = np.sort(np.concatenate([s.ravel() for s in scores]))[::-1]
        threshold = order[int(share * total + 1e-9) - 1]
        masks = [(s >= threshold) * m for s, m in zip(scores, masks, strict=True)]
    return masks


@pytest.mark.parametrize("steps", [1, 10])
def test_synflow_against_matrix_products(steps):
    """Without data, in float64, round after round."""
    model = network()
    how = replace(METHODS["synflow"](), schedule=Exponential(steps=steps))
    made = secateur.compress(
        model, how, example_inputs=torch.zeros(1, 6), budget="0.2 weights", run=replace(QUICK, train=None)
    )
    for (name, keep), wanted in zip(made.plan.kept.items(), flow_by_hand(model, 0.2, steps), strict=True):
        assert keep.tolist() == wanted.ravel().astype(bool).tolist(), name


def test_one_round_and_many_differ():
    model = network()
    assert any((a != b).any() for a, b in zip(flow_by_hand(model, 0.2, 1), flow_by_hand(model, 0.2, 10), strict=True))


@pytest.mark.parametrize(("schedule", "times"), [(Exponential(steps=5), 1), (Geometric(steps=5), 5), (OneShot(), 1)])
def test_training_between_rounds(schedule, times):
    seen = []
    how = replace(METHODS["synflow"](), schedule=schedule)
    run = replace(QUICK, train=seen.append)
    secateur.compress(network(), how, example_inputs=torch.zeros(1, 6), budget="0.2 weights", run=run)
    assert len(seen) == times


def test_greedy_filters_differ_from_independent_ones():
    torch.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(2, 12, 3), nn.ReLU(), nn.Conv2d(12, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Flatten(),
        nn.LazyLinear(3),
    )  # fmt: skip
    example = torch.zeros(1, 2, 6, 6)
    model(example)
    greedy, plain = (
        secateur.compress(model, name, example_inputs=example, budget="0.4 units", run=QUICK).plan
        for name in ("li2017_greedy", "li2017")
    )
    assert {n: greedy.width(n) for n in plain.kept} == {n: plain.width(n) for n in plain.kept}
    assert torch.equal(greedy.kept["0"], plain.kept["0"])
    assert any(not torch.equal(greedy.kept[n], plain.kept[n]) for n in plain.kept)
