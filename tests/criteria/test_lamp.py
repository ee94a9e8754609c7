import pytest
import torch

from benchmarks.criteria.oracles import lamp as oracle
from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.evidence import Evidence
from secateur.criteria import LAMP, Magnitude
from secateur.evidence import Weight
from secateur.granularity import Weight as Single
from secateur.planning import plan, score
from secateur.testing import case as cases


def of(values):
    return LAMP().saliency("w", Evidence({Weight: {"w": torch.tensor(values)}})).tolist()


def test_against_a_double_loop():
    assert oracle.error() < 1e-12


def test_by_hand():
    assert of([[1.0, -3.0], [2.0, 0.0]]) == [[pytest.approx(1 / 14), 1.0], [pytest.approx(4 / 13), 0.0]]


def test_equal_weights_share_a_score():
    assert of([2.0, -2.0, 1.0]) == [0.5, 0.5, pytest.approx(1 / 9)]
    assert of([0.0, 0.0]) == [0, 0]


def test_ranks_within_a_layer_as_magnitude_does():
    case = cases.normed()
    evidence = case.evidence(LAMP.needs)
    lamp = score(case.graph, LAMP(), evidence, granularity=Single()).values
    size = score(case.graph, Magnitude(), evidence, granularity=Single()).values
    for name, values in lamp.items():
        assert torch.equal(values.argsort(), size[name].argsort())


def test_no_layer_vanishes():
    """The largest weight of every layer has score one, however small the layer's weights are."""
    case = cases.normed()
    with torch.no_grad():
        case.model[3].weight.mul_(1e-6)
    evidence = case.evidence(LAMP.needs)
    found = score(case.graph, LAMP(), evidence, granularity=Single())
    made = plan(case.graph, found, Budget(0.05, "units"), Global(normalize="none"))
    assert min(made.width(name) for name in found.values) >= 3
