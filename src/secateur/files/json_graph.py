"""A channel graph as JSON. Reading checks every reference inside it, so that a bad file fails here and clearly."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from secateur.core.groups import (
    LIVE_FUNCTIONS,
    Attribute,
    Axis,
    ChannelGraph,
    Group,
    Kind,
    LiveCall,
    Op,
    Rescaling,
    Role,
    Slot,
    TensorAxes,
    is_in,
)
from secateur.files.json_index import index_from_json, index_to_json
from secateur.files.json_inputs import inputs_from_json
from secateur.files.reading import Node

#: No layer is wider; a file that says so would only ask for memory that nobody has.
_WIDEST = 2**24

#: No scalar in a network follows a width more steeply.
_STEEPEST = 4

Sizes = dict[str, int]


def graph_to_json(graph: ChannelGraph) -> dict[str, Any]:
    """Plain dicts, lists, strings and numbers."""
    return {
        "fingerprint": graph.fingerprint,
        "inputs": dict(graph.inputs),
        "unknown": dict(graph.unknown),
        "live": [_live_to_json(call) for call in graph.live],
        "rescalings": [_rescaling_to_json(one) for one in graph.rescalings],
        "tensors": {name: _tensor_to_json(axes) for name, axes in graph.tensors.items()},
        "groups": {name: _group_to_json(group) for name, group in graph.groups.items()},
        "ops": [_op_to_json(op) for op in graph.ops],
        "attributes": [_attribute_to_json(attribute) for attribute in graph.attributes],
        "blocks": list(graph.blocks),
    }


def graph_from_json(node: Node) -> ChannelGraph:
    """The graph that `graph_to_json` wrote.

    Raises:
        CodecError: something is missing, malformed, or refers to what is not there.
    """
    fields = node.record(
        *("fingerprint", "inputs", "unknown", "live", "rescalings", "tensors", "groups", "ops", "attributes"),
        optional=("blocks",),  # older files have none
    )
    # Widths first: axes speak of groups, and slots speak of axes.
    groups = fields["groups"].entries()
    full = {name: _group_fields(group)["units"].whole(0, _WIDEST) for name, group in groups.items()}
    tensors = {name: _tensor_from_json(tensor, full) for name, tensor in fields["tensors"].entries().items()}
    return ChannelGraph(
        groups={name: _group_from_json(name, group, tensors, full) for name, group in groups.items()},
        tensors=tensors,
        ops=tuple(_op_from_json(op, tensors, full) for op in fields["ops"].items()),
        attributes=tuple(_attribute_from_json(a, full) for a in fields["attributes"].items()),
        live=tuple(_live_from_json(call, full) for call in fields["live"].items()),
        rescalings=tuple(_rescaling_from_json(one, tensors, full) for one in fields["rescalings"].items()),
        fingerprint=fields["fingerprint"].text(),
        unknown={name: count.whole(low=0) for name, count in fields["unknown"].entries().items()},
        inputs=inputs_from_json(fields["inputs"]),
        blocks=_blocks_from_json(fields["blocks"], tensors) if "blocks" in fields else (),
    )


def _blocks_from_json(node: Node, tensors: dict[str, TensorAxes]) -> tuple[str, ...]:
    blocks = tuple(name.text() for name in node.items())
    for number, block in enumerate(blocks):
        others = blocks[:number] + blocks[number + 1 :]
        if is_in(block, others) or not any(name.startswith(f"{block}.") for name in tensors):
            raise node.items()[number].fail("the name of a module that holds tensors and no other block")
    return blocks


def _axis_to_json(axis: Axis) -> Any:
    """A plain number where no group matters, else `[fixed, [group, factor], ...]`."""
    return [axis.fixed, *([name, factor] for name, factor in axis.terms)] if axis.terms else axis.fixed


def _axis_from_json(node: Node, full: Sizes) -> Axis:
    if not isinstance(node.value, list):
        return Axis(node.whole())
    items = node.items()
    if not items:
        raise node.fail("a number, or a list that begins with one")
    terms = []
    for term in items[1:]:
        pair = term.items()
        if len(pair) != 2 or pair[0].text() not in full:
            raise term.fail("the name of a group and a factor")
        terms.append((pair[0].text(), pair[1].whole()))
    return Axis(items[0].whole(), tuple(terms))


def _tensor_to_json(tensor: TensorAxes) -> dict[str, Any]:
    return {"axes": [_axis_to_json(a) for a in tensor.axes], "buffer": tensor.buffer, "aliases": list(tensor.aliases)}


def _tensor_from_json(node: Node, full: Sizes) -> TensorAxes:
    fields = node.record("axes", "buffer", "aliases")
    axes = tuple(_axis_from_json(axis, full) for axis in fields["axes"].items())
    if any(axis.size(full) < 0 for axis in axes):
        raise fields["axes"].fail("dims of length 0 or more")
    return TensorAxes(axes, fields["buffer"].flag(), tuple(alias.text() for alias in fields["aliases"].items()))


def _group_to_json(group: Group) -> dict[str, Any]:
    return {
        "units": group.units,
        "multiple": group.multiple,
        "minimum": group.minimum,
        "exact": group.exact,
        "pinned": group.pinned,
        "kind": group.kind.value,
        "slots": [_slot_to_json(slot) for slot in group.slots],
    }


def _group_fields(node: Node) -> dict[str, Node]:
    return node.record("units", "multiple", "minimum", "exact", "pinned", "kind", "slots")


def _group_from_json(name: str, node: Node, tensors: dict[str, TensorAxes], full: Sizes) -> Group:
    fields = _group_fields(node)
    if fields["kind"].text() not in list(Kind):
        raise fields["kind"].fail(f"one of {', '.join(Kind)}")
    return Group(
        name=name,
        units=full[name],
        slots=tuple(_slot_from_json(slot, full[name], tensors, full) for slot in fields["slots"].items()),
        multiple=fields["multiple"].whole(low=1),
        minimum=fields["minimum"].whole(low=0),
        exact=fields["exact"].flag(),
        pinned=fields["pinned"].text(),
        kind=Kind(fields["kind"].text()),
    )


def _slot_to_json(slot: Slot) -> dict[str, Any]:
    return {"tensor": slot.tensor, "dim": slot.dim, "role": slot.role.value, "index": index_to_json(slot.index)}


def _slot_from_json(node: Node, units: int, tensors: dict[str, TensorAxes], full: Sizes) -> Slot:
    fields = node.record("tensor", "dim", "role", "index")
    tensor = _known_tensor(fields["tensor"], tensors)
    dim = fields["dim"].whole(0, len(tensors[tensor].axes) - 1)
    if fields["role"].text() not in list(Role):
        raise fields["role"].fail(f"one of {', '.join(Role)}")
    size = tensors[tensor].axes[dim].size(full)
    index = index_from_json(fields["index"], units=units, size=size)
    return Slot(tensor, dim, Role(fields["role"].text()), index)


def _op_to_json(op: Op) -> dict[str, Any]:
    loops = [_axis_to_json(axis) for axis in op.loops]
    return {"name": op.name, "module": op.module, "weight": op.weight, "loops": loops}


def _op_from_json(node: Node, tensors: dict[str, TensorAxes], full: Sizes) -> Op:
    fields = node.record("name", "module", "weight", "loops")
    # An operator between two activations has no weight.
    weight = _known_tensor(fields["weight"], tensors) if fields["weight"].value else fields["weight"].text()
    loops = tuple(_axis_from_json(axis, full) for axis in fields["loops"].items())
    return Op(fields["name"].text(), fields["module"].text(), weight, loops)


def _attribute_to_json(attribute: Attribute) -> dict[str, Any]:
    return {
        "module": attribute.module,
        "name": attribute.name,
        "axis": _axis_to_json(attribute.axis),
        "item": attribute.item,
    }


def _attribute_from_json(node: Node, full: Sizes) -> Attribute:
    fields = node.record("module", "name", "axis", "item")
    item = None if fields["item"].value is None else fields["item"].whole(low=0)
    return Attribute(fields["module"].text(), fields["name"].text(), _axis_from_json(fields["axis"], full), item)


def _live_to_json(call: LiveCall) -> dict[str, Any]:
    return {
        "module": call.module,
        "function": call.function,
        "number": call.number,
        "dim": call.dim,
        "size": call.size,
        "members": {group: _units_to_json(unit) for group, unit in call.members},
    }


def _units_to_json(unit: Tensor) -> Any:
    """The unit of every entry; None where that is the entry's own number."""
    return None if torch.equal(unit, torch.arange(len(unit))) else unit.tolist()


def _live_from_json(node: Node, full: Sizes) -> LiveCall:
    fields = node.record("module", "function", "number", "dim", "size", "members")
    if fields["function"].text() not in LIVE_FUNCTIONS:
        raise fields["function"].fail(f"one of {', '.join(sorted(LIVE_FUNCTIONS))}")
    size, members = fields["size"].whole(0, _WIDEST), []
    for group, units in fields["members"].entries().items():
        if group not in full:
            raise units.fail("units of one of the graph's groups")
        if units.value is None:
            if size > full[group]:
                raise units.fail(f"a list, since {group!r} has only {full[group]} units")
            members.append((group, torch.arange(size)))
            continue
        numbers = [n.whole(-1, full[group] - 1) for n in units.items()]
        if len(numbers) != size:
            raise units.fail(f"{size} numbers")
        members.append((group, torch.tensor(numbers, dtype=torch.long)))
    return LiveCall(
        fields["module"].text(),
        fields["function"].text(),
        fields["number"].whole(low=0),
        fields["dim"].whole(low=0),
        size,
        tuple(members),
    )


def _rescaling_to_json(one: Rescaling) -> dict[str, Any]:
    return {
        "tensor": one.tensor,
        "dim": one.dim,
        "entries": one.entries.tolist(),
        "axis": _axis_to_json(one.axis),
        "power": one.power,
    }


def _rescaling_from_json(node: Node, tensors: dict[str, TensorAxes], full: Sizes) -> Rescaling:
    fields = node.record("tensor", "dim", "entries", "axis", "power")
    tensor = _known_tensor(fields["tensor"], tensors)
    dim = fields["dim"].whole(0, len(tensors[tensor].axes) - 1)
    size = tensors[tensor].axes[dim].size(full)
    entries = [n.whole(0, size - 1) for n in fields["entries"].items()]
    axis = _axis_from_json(fields["axis"], full)
    if axis.size(full) < 1:
        raise fields["axis"].fail("a length of 1 or more")
    power = fields["power"].number()
    if not abs(power) <= _STEEPEST:
        raise fields["power"].fail(f"a number from -{_STEEPEST} to {_STEEPEST}")
    return Rescaling(tensor, dim, torch.tensor(entries, dtype=torch.long), axis, power)


def _known_tensor(node: Node, tensors: dict[str, TensorAxes]) -> str:
    if node.text() not in tensors:
        raise node.fail("the name of one of the graph's tensors")
    return node.text()
