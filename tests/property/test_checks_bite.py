"""The checks themselves must be able to fail: graphs broken on purpose are caught, every one."""

import copy
from dataclasses import replace

import pytest
import torch

from secateur.apply.verify import verify
from secateur.core.errors import VerificationError
from secateur.core.groups import ChannelGraph, Role
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel, Layer
from secateur.testing.models import TINY
from secateur.testing.system import check_cost, check_dead_units, prepare

CONSUMERS = [
    (name, group.name, slot)
    for name, network in TINY.items()
    for group in prepare(network).graph.cuttable.values()
    for slot, s in enumerate(group.slots)
    if s.role is Role.CONSUMES
]
SLOTS = [
    (name, g.name) for name, network in TINY.items() for g in prepare(network).graph.cuttable.values() if g.units > 2
]


#: Consumers whose dead input is constant, where the next step is blind to a constant.
HARMLESS = {
    ("group_norm", "6.weight"): "a norm of each channel follows",
    ("normed_mlp", "ups.1.weight"): "a norm without bias comes before: the constant is zero",
    ("attention", "attention.k.weight"): "a softmax over keys follows",
}


@pytest.fixture(params=[torch.float64, torch.float32], ids=["double", "single"])
def dtype(request):
    """Networks in float64 are judged in float64, others in float32 first: neither may let a wrong graph pass."""
    return request.param


def plan_for(graph, group):
    """Cuts one group only: the first and the third unit go, so that shifted units are other units."""
    keep = torch.ones(graph.groups[group].units, dtype=torch.bool)
    keep[0] = False
    if len(keep) > 3:
        keep[2] = False
    return PruningPlan({group: keep}, Channel(), graph)


def changed(graph, group, **changes):
    return replace(graph, groups={**graph.groups, group: replace(graph.groups[group], **changes)})


def changed_slot(graph, group, number, **changes):
    slots = list(graph.groups[group].slots)
    slots[number] = replace(slots[number], **changes)
    return changed(graph, group, slots=tuple(slots))


@pytest.mark.parametrize(("name", "group", "slot"), CONSUMERS)
def test_a_forgotten_consumer(name, group, slot, dtype):
    found = prepare(TINY[name])
    slots = found.graph.groups[group].slots
    broken = changed(found.graph, group, slots=slots[:slot] + slots[slot + 1 :])
    with pytest.raises(VerificationError, match=r"does not run|differ"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, group))


@pytest.mark.parametrize(("name", "group", "slot"), CONSUMERS)
def test_a_shifted_consumer(name, group, slot, dtype):
    found = prepare(TINY[name])
    index = found.graph.groups[group].slots[slot].index
    broken = changed_slot(found.graph, group, slot, index=index.roll(1, 0))
    with pytest.raises(VerificationError, match="differ"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, group))


@pytest.mark.parametrize(("name", "group", "slot"), CONSUMERS)
def test_a_wrong_role(name, group, slot):
    found = prepare(TINY[name])
    if "attention." in group:
        pytest.skip("activations meet there, so the probe leaves the group alone")
    if (name, found.graph.groups[group].slots[slot].tensor) in HARMLESS:
        pytest.skip(HARMLESS[name, found.graph.groups[group].slots[slot].tensor])
    broken = changed_slot(found.graph, group, slot, role=Role.PRODUCES)
    with pytest.raises(AssertionError, match="noise in dead units"):
        check_dead_units(found.model, plan_for(broken, group), found.examples)


@pytest.mark.parametrize(("name", "group"), SLOTS)
def test_a_shifted_producer(name, group, dtype):
    """What makes the units loses others than the plan says."""
    found = prepare(TINY[name])
    slots = found.graph.groups[group].slots
    maker = next(number for number, s in enumerate(slots) if s.role is Role.PRODUCES)
    broken = changed_slot(found.graph, group, maker, index=slots[maker].index.roll(1, 0))
    with pytest.raises(VerificationError, match="differ"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, group))


@pytest.mark.parametrize("name", ["tied", "group_norm", "normed_mlp", "attention"])
def test_a_forgotten_live_call(name, dtype):
    found = prepare(TINY[name])
    normed = next(g.name for g in found.graph.cuttable.values() if not g.exact)
    broken = replace(found.graph, live=found.graph.live[1:])
    with pytest.raises(VerificationError, match="differ"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, normed))


@pytest.mark.parametrize(("name", "group"), [("encoder_layer", "0"), ("literal", "stem")])
def test_a_pin_removed(name, group, dtype):
    found = prepare(TINY[name])
    broken = changed(found.graph, group, pinned="")
    with pytest.raises(VerificationError, match=r"does not run|differ"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, group))


def test_a_forgotten_rescaling(dtype):
    found = prepare(TINY["fused_attention"])
    broken = replace(found.graph, rescalings=())
    with pytest.raises(VerificationError, match="differ"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, "attention.qkv"))


def test_a_forgotten_attribute(dtype):
    found = prepare(TINY["packed_attention"])
    broken = replace(found.graph, attributes=tuple(a for a in found.graph.attributes if a.name != "head_dim"))
    with pytest.raises(VerificationError, match="does not run"):
        verify(copy.deepcopy(found.model).to(dtype), plan_for(broken, "attention.qkv"))


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("residual_blocks", "3.0"),  # projects its shortcut
        ("residual_blocks", "2.0.conv1"),
        ("pre_norm_blocks", "blocks.0.mlp"),
        ("encoder_layer", "1"),  # has a norm behind its sum
        ("normed_mlp", "norms.0"),
    ],
)
def test_a_module_that_may_not_go(name, module):
    found = prepare(TINY[name])
    broken = replace(found.graph, blocks=(module,))
    with pytest.raises(VerificationError, match=r"does not run|differ"):
        verify(found.model, PruningPlan({}, Layer(), broken).keep("layers", []))


@pytest.mark.parametrize("name", ["residual_blocks", "pre_norm_blocks"])
def test_a_cost_that_forgets_a_module(name, monkeypatch):
    found = prepare(TINY[name])
    plan = PruningPlan({}, Layer(), found.graph).keep("layers", [0])
    check_cost(found.model, plan, found.examples[0])
    monkeypatch.setattr(ChannelGraph, "without", lambda graph, _: graph)
    with pytest.raises(AssertionError, match="predicted"):
        check_cost(found.model, plan, found.examples[0])


@pytest.mark.parametrize("name", TINY)
def test_a_wrong_cost(name):
    found = prepare(TINY[name])
    group = next(iter(found.graph.cuttable))
    broken = replace(found.graph, ops=found.graph.ops[1:])
    with pytest.raises(AssertionError, match="predicted"):
        check_cost(found.model, plan_for(broken, group), found.examples[0])
