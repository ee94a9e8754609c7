"""The groups of every tiny network, and why what is pinned is pinned."""

import pytest
import torch

from secateur.core.groups import Role
from secateur.graph.trace import trace
from secateur.testing.models import TINY
from secateur.testing.system import prepare


@pytest.mark.parametrize("name", TINY)
def test_groups_and_units(name):
    graph = prepare(TINY[name]).graph
    assert {n: g.units for n, g in graph.cuttable.items()} == dict(TINY[name].groups)


@pytest.mark.parametrize("name", TINY)
def test_pinned_groups_say_why(name):
    graph = prepare(TINY[name]).graph
    for group, text in TINY[name].pinned.items():
        assert text in graph.groups[group].pinned


@pytest.mark.parametrize("name", TINY)
def test_blocks_that_may_go(name):
    assert prepare(TINY[name]).graph.blocks == TINY[name].blocks


@pytest.mark.parametrize("name", TINY)
def test_units_own_each_entry_once(name):
    """No entry of any dim belongs to two units, and every index is in range."""
    prepared = prepare(TINY[name])
    shapes = {n: t.shape for n, t in [*prepared.model.named_parameters(), *prepared.model.named_buffers()]}
    owners = {}
    for group in prepared.graph.groups.values():
        for slot in group.slots:
            assert slot.index.shape[0] == group.units
            assert int(slot.index.min()) >= 0 and int(slot.index.max()) < shapes[slot.tensor][slot.dim]
            owners.setdefault((slot.tensor, slot.dim), []).append(slot.index.flatten())
    for place, entries in owners.items():
        every = torch.cat(entries)
        assert len(every) == len(every.unique()), place


@pytest.mark.parametrize("name", TINY)
def test_every_dim_is_accounted_for(name):
    """Axes give the real shapes at full width, and every entry of a parameter dim longer than one is in some group."""
    prepared = prepare(TINY[name])
    graph = prepared.graph
    for tensor, parameter in prepared.model.named_parameters():
        axes = graph.tensors[tensor].axes
        assert tuple(a.size(graph.full) for a in axes) == parameter.shape
    assert set(graph.tensors) == {n for n, _ in [*prepared.model.named_parameters(), *prepared.model.named_buffers()]}


def roles(name, group):
    return {(s.tensor, s.dim): s.role for s in prepare(TINY[name]).graph.groups[group].slots}


def test_roles_of_a_chain():
    assert roles("chain", "0") == {
        ("0.weight", 0): Role.PRODUCES,
        ("0.bias", 0): Role.SHIFTS,
        ("1.weight", 0): Role.SCALES,
        ("1.bias", 0): Role.SHIFTS,
        ("1.running_mean", 0): Role.TRACKS,
        ("1.running_var", 0): Role.TRACKS,
        ("3.weight", 1): Role.CONSUMES,
    }


def test_tied_embedding_is_a_consumer_first():
    assert roles("tied", "down")["embed.weight", 1] is Role.CONSUMES
    assert prepare(TINY["tied"]).graph.tensors["embed.weight"].aliases == ("head.weight",)


@pytest.mark.parametrize(
    ("name", "group", "tensor", "dim", "index"),
    [
        ("flatten", "0", "4.weight", 1, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15]]),
        ("gate", "pair", "pair.weight", 0, [[u, u + 6] for u in range(6)]),
        ("dense", "b", "c.weight", 1, [[4], [5], [6], [7], [8]]),
        ("dense", "c", "head.weight", 1, [[9], [10], [11], [12], [13], [14]]),
        ("grouped", "2", "2.weight", 0, [[u, u + 6] for u in range(6)]),
        ("multiplier", "0", "2.weight", 0, [[2 * u, 2 * u + 1] for u in range(5)]),
        ("transposed", "5", "5.bias", 0, [[u, u + 4] for u in range(4)]),
        ("packed_attention", "attention.qkv", "attention.proj.weight", 1, [[u, u + 4, u + 8] for u in range(4)]),
        ("pixel_shuffle", "2", "2.weight", 0, [[4 * u + k for k in range(4)] for u in range(5)]),
        ("encoder_layer", "0", "1.self_attn.in_proj_weight", 0, [[u + 4 * n for n in range(6)] for u in range(4)]),
        ("channel_shuffle", "first", "first.weight", 0, [[0, 2, 4, 6], [1, 3, 5, 7]]),
    ],
)
def test_where_units_live(name, group, tensor, dim, index):
    slot = next(s for s in prepare(TINY[name]).graph.groups[group].slots if (s.tensor, s.dim) == (tensor, dim))
    assert slot.index.tolist() == index


def test_one_head_dim_joins_three_projections():
    """Queries meet keys, but values meet neither: only the one integer that all three views use ties them."""
    graph = prepare(TINY["attention"]).graph
    tensors = {s.tensor for s in graph.groups["attention.q"].slots}
    assert {f"attention.{x}.weight" for x in ("q", "k", "v", "proj")} <= tensors
    assert ("attention", "head_dim") in {(a.module, a.name) for a in graph.attributes}


@pytest.mark.parametrize("name", ["attention", "packed_attention"])
def test_head_dim_follows_and_heads_and_scale_stay(name):
    prepared = prepare(TINY[name])
    mended = {a.name: a.axis for a in prepared.graph.attributes if a.module == "attention"}
    (group,) = (g for g in prepared.graph.cuttable if g.startswith("attention."))
    assert mended["head_dim"].size(prepared.graph.full | {group: 3}) == 3
    assert not {"heads", "scale"} & set(mended)


@pytest.mark.parametrize(
    ("name", "norms"),
    [
        ("group_norm", ("1", "4")),
        ("normed_mlp", ("last", "norms.0", "norms.1")),
        ("tied", ("norm",)),
        ("chain", ()),
        ("instance_norm", ()),
    ],
)
def test_live_calls(name, norms):
    graph = prepare(TINY[name]).graph
    assert tuple(sorted({call.module for call in graph.live})) == norms
    assert any(not g.exact for g in graph.cuttable.values()) == bool(norms)


@pytest.mark.parametrize("name", TINY)
def test_batch_size_does_not_matter(name):
    prepared, network = prepare(TINY[name]), TINY[name]
    for change in (lambda x: x[:1], lambda x: torch.cat([x, x, x])):
        graph = trace(prepared.model, network.inputs().map(change))
        assert {n: g.units for n, g in graph.cuttable.items()} == dict(network.groups)
        assert {n: g.slots for n, g in graph.cuttable.items()} == {
            n: g.slots for n, g in prepared.graph.cuttable.items()
        }


@pytest.mark.parametrize("name", ["pooled", "encoder_layer", "chain", "instance_norm"])
def test_training_mode_does_not_matter(name):
    prepared, network = prepare(TINY[name]), TINY[name]
    graph = trace(network.build().train(), network.example())
    assert graph == prepared.graph


@pytest.mark.parametrize("name", TINY)
def test_precision_does_not_matter(name):
    prepared, network = prepare(TINY[name]), TINY[name]
    graph = trace(network.build().float(), network.inputs().map(lambda x: x.float() if x.is_floating_point() else x))
    assert graph.groups == prepared.graph.groups and graph.attributes == prepared.graph.attributes


def test_unknown_operators_are_counted():
    assert prepare(TINY["unknown"]).graph.unknown == {"aten.cummax": 1}
    assert not any(prepare(network).graph.unknown for name, network in TINY.items() if name != "unknown")


@pytest.mark.parametrize(
    ("name", "group", "operator", "module"),
    [
        ("unknown", "mixed", "aten.cummax", "the top module"),
        ("literal", "stem", "aten.view", "the top module"),
        ("tied", "embed", "aten.embedding", "embed"),
        ("attention", "positions", "aten.add", "the top module"),
    ],
)
def test_reasons_name_operator_and_module(name, group, operator, module):
    reason = prepare(TINY[name]).graph.groups[group].pinned
    assert f"operator {operator}" in reason and f" at {module}" in reason
