"""Hidden units are free to stand in any order, and those that say nothing need no place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import secateur
from benchmarks.mnist.narrow import PICTURE
from secateur.apply.masking import mask, unmask_
from secateur.coding import pack
from secateur.core.contracts import Known
from secateur.core.groups import ChannelGraph, Role
from secateur.evidence import collect
from secateur.planning.empty import without_empty
from secateur.repair import FoldConstant

#: From what makes each unit, `(units, entries)` of 0 and 1, to an order.
Order = Callable[[Tensor], Tensor]


def silenced(model: nn.Module) -> nn.Module:
    """A copy in which units that pruning emptied are zero on both sides, and their constants are in the biases.

    What read or made such a unit alone is empty then itself, so this goes on until nothing changes.
    """
    graph = secateur.trace(model, PICTURE)
    batches = [(torch.randn(16, 1, 28, 28), torch.zeros(16, dtype=torch.long))]  # constants are so for any input
    left = -1
    while left != (left := sum(int(p.count_nonzero()) for p in model.parameters())):
        plan = without_empty(model, graph)
        student = mask(model, plan)
        known = Known(collect(model, batches, FoldConstant.needs, graph=graph), batches)
        FoldConstant().repair_(student, model, plan, known)
        model = unmask_(student)
    return model


def by_count(made: Tensor) -> Tensor:
    """The fullest first."""
    return made.sum(1).argsort(descending=True, stable=True)


def by_place(made: Tensor) -> Tensor:
    """By the mean place of what they read; empty ones last."""
    place = (made * torch.arange(made.shape[1])).sum(1) / made.sum(1).clamp(min=1)
    return torch.where(made.any(1), place, torch.inf).argsort(stable=True)


def by_likeness(made: Tensor) -> Tensor:
    """Each beside the one most like it that is left, a place off counting half; the fullest first."""
    wide = made.float()
    if made.shape[1] == 28 * 28:
        near = F.conv2d(
            made.view(-1, 1, 28, 28).float(),
            torch.tensor([[[[0.3, 0.5, 0.3], [0.5, 1, 0.5], [0.3, 0.5, 0.3]]]]),
            padding=1,
        )
        wide = near.flatten(1)
    like = wide @ made.float().T / made.sum(1).clamp(min=1).float().sqrt()
    left = made.any(1)
    at = int(made.sum(1).argmax())
    order = []
    while True:
        order.append(at)
        left[at] = False
        if not bool(left.any()):
            break
        at = int(torch.where(left, like[at], -1.0).argmax())
    rest = [n for n in range(len(made)) if n not in set(order)]
    return torch.tensor(order + rest)


ORDERS: Mapping[str, Order] = {"count": by_count, "place": by_place, "likeness": by_likeness}


def arranged(state: Mapping[str, Tensor], graph: ChannelGraph, order: Order) -> dict[str, Tensor]:
    """The same network with its hidden units in another order."""
    out = {name: tensor.clone() for name, tensor in state.items()}
    for group in graph.cuttable.values():
        made = next(s for s in group.slots_with(Role.PRODUCES) if out[s.tensor].ndim > 1)
        lines = out[made.tensor].movedim(made.dim, 0)[made.index].flatten(1) != 0
        chosen = order(lines)
        for slot in group.slots:
            if slot.tensor in out:
                moved = out[slot.tensor].movedim(slot.dim, 0)
                moved[slot.index.flatten()] = moved[slot.index[chosen].flatten()].clone()
    return out


def best_arranged(model: nn.Module) -> tuple[dict[str, Tensor], str]:
    """The order that makes the smallest file, and its name."""
    graph = secateur.trace(model, PICTURE)
    found = {name: arranged(model.state_dict(), graph, order) for name, order in ORDERS.items()}
    with TemporaryDirectory() as folder:
        sizes = {name: pack(state, Path(folder) / "one.sct").bytes for name, state in found.items()}
    name = min(sizes, key=lambda name: sizes[name])
    return found[name], name


def in_full(state: Mapping[str, Tensor], whole: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A network whose last units were cut, in the shapes of the one it was cut from: zeros say nothing."""
    out = {}
    for name, tensor in whole.items():
        out[name] = torch.zeros_like(tensor, memory_format=torch.contiguous_format)
        out[name][tuple(slice(0, size) for size in state[name].shape)] = state[name]
    return out
