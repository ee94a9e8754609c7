"""You say what stays."""

import pytest
import torch
from torch import nn

import secateur
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.granularity import Weight


@pytest.fixture
def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 2))


def test_what_is_named_stays_and_the_rest_is_whole(model):
    graph = secateur.trace(model, torch.zeros(1, 3))
    small = secateur.shrink(
        model, secateur.plan_by_hand(graph, {"0": [5, 1], "2": torch.tensor([0, 1, 1, 0, 1]).bool()})
    )
    assert torch.equal(small[0].weight, model[0].weight[[1, 5]])
    assert torch.equal(small[2].weight, model[2].weight[[1, 2, 4]][:, [1, 5]])
    assert torch.equal(small[4].weight, model[4].weight[:, [1, 2, 4]])


def test_the_empty_plan_cuts_nothing(model):
    graph = secateur.trace(model, torch.zeros(1, 3))
    plan = secateur.plan_by_hand(graph)
    assert not plan.masks()
    assert secateur.plan_by_hand(graph, {"0": [0, 3]}) == plan.keep("0", [0, 3])
    assert plan.provenance.criterion == plan.provenance.allocation == "by hand"
    assert plan.provenance.version == secateur.__version__


def test_single_weights(model):
    graph = secateur.trace(model, torch.zeros(1, 3))
    plan = secateur.plan_by_hand(graph, {"4.weight": [0, 9]}, granularity=Weight())
    masked = secateur.mask(model, plan)
    assert masked[4].weight.nonzero().tolist() == [[0, 0], [1, 4]]


def test_mistakes_are_named(model):
    graph = secateur.trace(model, torch.zeros(1, 3))
    with pytest.raises(UnknownNameError, match=r"'0\.weight'\. Its units move together with '0'"):
        secateur.plan_by_hand(graph, {"0.weight": [0]})
    with pytest.raises(IncompatibleError, match="is an output of the model"):
        secateur.plan_by_hand(graph, {"4": [0]})
