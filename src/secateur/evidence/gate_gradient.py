"""The gradient at a gate on each unit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph, Group, Role, Slot
from secateur.evidence.base import collector, weighted_mean
from secateur.evidence.weight import wide


@collector("gate_gradient")
class GateGradient(Collector):
    """Mean over mini-batches of the squared gradient at a gate, a factor of one, on every unit of a cuttable group.

    The gate sits where the unit is read. Its gradient is the sum of weight times gradient over all weight entries that
    read the unit, and so the first-order change of the loss when they become zero. A group that no weight reads (what
    attention compares) has its gates where its units are made.

    Formula: v_u = E_b[ (sum over the entries e of unit u of g_e w_e) ** 2 ], g of the batch's mean loss
    Shapes:  name of the group's first parameter -> `(dims, longest dim)`, v_u in the row of the dim along which the
             units lie and the columns that they own; 0 elsewhere.
    """

    wants_gradients: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Look up which entries read which unit."""
        parameters = dict(model.named_parameters())
        self._gates: list[tuple[Slot, Sequence[Slot]]] = []
        for group in graph.cuttable.values():
            own = [slot for slot in group.slots if slot.tensor in parameters]
            self._gates += [(own[0], _at(group, own))] if own else []
        names = {slot.tensor for _, slots in self._gates for slot in slots}
        self._weights = {name: wide(p.detach()).clone() for name, p in parameters.items() if name in names}
        shapes = {home.tensor: parameters[home.tensor].shape for home, _ in self._gates}
        self._sums = {n: torch.zeros(len(shape), max(shape), dtype=torch.float64) for n, shape in shapes.items()}
        self._samples = 0
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add one batch."""
        self._samples += step.samples
        products = {n: w * step.gradients[n].to(w) for n, w in self._weights.items() if n in step.gradients}
        for home, slots in self._gates:
            gradient = torch.zeros(len(home.index), dtype=torch.float64)
            for slot in slots:
                if slot.tensor in products:
                    entries = products[slot.tensor].movedim(slot.dim, 0).flatten(1).sum(1, dtype=torch.float64)
                    gradient += entries[slot.index].sum(1)
            self._sums[home.tensor][home.dim, home.index] += (gradient.square() * step.samples)[:, None]

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)


def _at(group: Group, own: Sequence[Slot]) -> Sequence[Slot]:
    """The slots at which the gate of a unit acts."""
    read = [slot for slot in own if slot.role is Role.CONSUMES]
    made = [slot for slot in own if slot.role in (Role.PRODUCES, Role.SHIFTS)]
    return read or made or own
