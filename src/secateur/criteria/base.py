"""The registry of criteria and arithmetic that several of them share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from secateur.core.contracts import Criterion
from secateur.core.errors import IncompatibleError
from secateur.core.groups import Group, Role
from secateur.core.registry import Registry

CRITERIA: Registry[type[Criterion]] = Registry("criterion")
criterion = CRITERIA


def unit_rows(group: Group, tensors: Mapping[str, Tensor], *roles: Role) -> Tensor:
    """All entries of each unit in the slots that play `roles`, side by side: `(units, entries)` in float64."""
    rows = []
    for slot in group.slots_with(*roles):
        if slot.tensor in tensors:
            values = tensors[slot.tensor].double().movedim(slot.dim, 0)
            values = values.reshape(len(values), -1)
            rows.append(values[slot.index].reshape(group.units, -1))
    return torch.cat(rows, 1) if rows else torch.zeros(group.units, 0, dtype=torch.float64)


def received(group: Group, values: Mapping[str, Tensor], by: str) -> Tensor:
    """What is known of each unit where it is read, `(units, ...)` in float64: the mean over all layers that read it.

    Args:
        group: its units.
        values: weight name to `(entries of the consuming dim, ...)`.
        by: name of the criterion, for the error.

    Raises:
        IncompatibleError: no convolution or linear layer was seen reading the group.
    """
    read = [slot for slot in group.slots_with(Role.CONSUMES) if slot.tensor in values]
    if not read:
        raise IncompatibleError(
            f"{by} looks at what convolutions and linear layers receive, and none was seen reading group "
            f"{group.name!r}. Choose units that such layers read (granularity neuron or embedding, say), or a "
            "criterion that looks at weights, magnitude or taylor for instance."
        )
    return torch.stack([values[slot.tensor].double()[slot.index].mean(1) for slot in read]).mean(0)
