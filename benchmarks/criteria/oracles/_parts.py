"""What single channels add to a layer's outputs, by running the layer on them alone."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from secateur.core.groups import Group, Role
from secateur.testing.case import Case

Array = np.ndarray


def parts(subject: Case, group: Group) -> list[Array]:
    """For each layer that reads the group `(units, outputs, places of all examples)`: what each unit alone adds."""
    found = []
    for slot in group.slots_with(Role.CONSUMES):
        layer = copy.deepcopy(subject.model.get_submodule(slot.tensor.rpartition(".")[0]))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
        x = inputs(subject, slot.tensor)
        alone = []
        for unit in slot.index:
            only = torch.zeros_like(x)
            only[:, unit] = x[:, unit]
            with torch.no_grad():
                alone.append(layer(only).movedim(1, 0).flatten(1).numpy())
        found.append(np.stack(alone))
    return found


def inputs(subject: Case, weight: str) -> Tensor:
    """All that the layer behind a weight is given, examples in front."""
    seen: list[Tensor] = []
    layer = subject.model.get_submodule(weight.rpartition(".")[0])
    handle = layer.register_forward_pre_hook(lambda _, args: seen.append(args[0].detach()))
    with torch.no_grad():
        for x, _ in subject.batches:
            subject.model(x)
    handle.remove()
    return torch.cat(seen)


def error_of(removed: Sequence[int], alone: list[Array]) -> float:
    """Squared output error of removing these units, summed over outputs, mean over places, summed over layers."""
    return float(sum((z[list(removed)].sum(0) ** 2).sum(0).mean() for z in alone))
