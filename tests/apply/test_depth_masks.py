"""Masks of whole modules, alone and on top of masks of channels."""

import pytest
import torch

from secateur.apply.masking import mask, masks_of, unmask_
from secateur.apply.shrinking import shrink
from secateur.bench.zoo.vit import vit_tiny
from secateur.core.plan import PruningPlan
from secateur.granularity import Layer
from secateur.graph.trace import trace
from secateur.testing.system import random_plan


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    model, x = vit_tiny().double().eval(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    graph = trace(model, x, depth=True)
    return model, x, random_plan(graph, 2), PruningPlan({}, Layer(), graph).keep("layers", [1, 2])


def test_channels_and_modules_masked_together(network):
    """The stream is cut, so the norms of the blocks that go have both masks, and statistics over what is left."""
    model, x, channels, modules = network
    assert {"blocks.0.norm1", "norm"} <= {call.module for call in channels.graph.live} and channels.width(
        "patches"
    ) < 64
    narrow = shrink(model, channels)
    small = shrink(narrow, PruningPlan({}, Layer(), trace(narrow, x, depth=True)).keep("layers", [1, 2]))
    for first, second in ((channels, modules), (modules, channels)):
        both = mask(mask(model, first), second)
        assert torch.allclose(both(x), small(x), rtol=0, atol=1e-13)
        assert list(unmask_(both).state_dict()) == list(model.state_dict())


def test_what_goes_has_no_gradient_and_the_rest_is_not_masked(network):
    model, x, _, modules = network
    student = mask(model, modules).train()
    assert {name.partition(".norm")[0][:8] for name in masks_of(student)} == {"blocks.0", "blocks.3"}
    student(x).square().sum().backward()
    for name, parameter in student.named_parameters():
        gone = name.startswith(("blocks.0.", "blocks.3."))
        assert bool(parameter.grad.any()) != gone, name
