"""The registry of criteria and arithmetic that several of them share."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from secateur.core.contracts import Criterion
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
