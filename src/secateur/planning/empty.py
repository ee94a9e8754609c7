"""Units that single-weight pruning has emptied: nothing makes them, or nothing reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from secateur.core.contracts import Block
from secateur.core.groups import ChannelGraph, Group, Role, Slot
from secateur.core.plan import Provenance, PruningPlan
from secateur.granularity import Channel
from secateur.planning.plan import library_version


def without_empty(model: nn.Module, graph: ChannelGraph) -> PruningPlan:
    """A plan of channels that takes out every unit whose weights are zero on one side, all of them.

    A unit that nothing reads goes without a trace. A unit that nothing makes says the same whatever the input is: a
    constant, which `repair.FoldConstant` moves into the biases that read it, exactly but at the borders of padded
    convolutions. So sparse networks become smaller ones:

        plan = without_empty(sparse, graph)
        student = mask(sparse, plan)
        FoldConstant().repair_(student, sparse, plan, Known(evidence, batches))
        small = shrink(student, plan)

    Args:
        model: of the traced structure, without masks (`apply.masking.unmask_` bakes them in).
        graph: the structure.

    Returns:
        The plan; groups keep at least as many units as they must, and everything if nothing is empty.
    """
    tensors = dict(model.named_parameters())
    kept: dict[str, Tensor] = {}
    for block in Channel().blocks(graph):
        group = graph.groups[block.name]
        made = _any_weight(group.slots_with(Role.PRODUCES), tensors, group.units)
        read = _any_weight(group.slots_with(Role.CONSUMES), tensors, group.units)
        keep = made & read
        if not bool(keep.all()):
            kept[block.name] = _allowed(keep, block, group)
    return PruningPlan(kept, Channel(), graph, Provenance(version=library_version()))


def _any_weight(slots: Iterable[Slot], tensors: Mapping[str, nn.Parameter], units: int) -> Tensor:
    """Which units have a weight that is not zero in any of the slots; all, if there is no slot to look at."""
    found, looked = torch.zeros(units, dtype=torch.bool), False
    for slot in slots:
        if slot.tensor in tensors:
            looked = True
            entries = tensors[slot.tensor].detach().cpu() != 0
            lines = entries.movedim(slot.dim, 0).reshape(entries.shape[slot.dim], -1).any(1)
            found |= lines[slot.index].any(1)
    return found if looked else ~found


def _allowed(keep: Tensor, block: Block, group: Group) -> Tensor:
    """As few units more as the group's minimum and multiple ask for, the first ones that would have gone."""
    least = max(int(keep.sum()), block.minimum, group.minimum)
    wanted = min(-(-least // group.multiple) * group.multiple, group.units)
    allowed = keep.clone()
    allowed[(~keep).nonzero().flatten()[: wanted - int(keep.sum())]] = True
    return allowed
