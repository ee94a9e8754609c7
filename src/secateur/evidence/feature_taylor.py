"""First-order change of the loss when a feature map is removed, example by example."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph, Role
from secateur.evidence.base import add_, collector, consumers, layers, maps, watching_inputs, weighted_mean


@collector("feature_taylor")
class FeatureTaylor(Collector):
    """Mean absolute first-order effect of each map that a layer receives from a cuttable group.

    Formula: t_u = E_n[ | mean over places p of a_nup dL_n/da_nup | ], L_n the loss of example n
    Shapes:  weight name -> `(entries of the weight's consuming dim,)`; entries of one unit hold the same number.

    The gradient of the batch's mean loss, times the number of examples, is taken for the gradients of single examples:
    so it is where the loss is a mean and examples do not meet, as in eval mode.
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the consuming layers."""
        self._model, self._graph = model, graph
        self._inputs: list[tuple[str, nn.Module, Tensor]] = []
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        return watching_inputs(layers(model, consumers(graph)), self._see, attached=True)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        if x.requires_grad:
            self._inputs.append((name, module, x))

    def update(self, step: Step) -> None:
        """Run the batch forward and backward."""
        self._inputs.clear()
        with torch.enable_grad():
            value = step.loss(step.example.call(self._model), step.target)
            inputs = [x for _, _, x in self._inputs]
            found = torch.autograd.grad(value, inputs, allow_unused=True, materialize_grads=True) if inputs else ()
        for (name, module, x), gradient in zip(self._inputs, found, strict=True):
            effect = maps(module, x.detach()) * maps(module, gradient) * step.samples
            self._add(name, effect)
        self._inputs.clear()

    def _add(self, name: str, effect: Tensor) -> None:
        """Add `effect` of every place, `(examples, entries, places)`."""
        added = torch.zeros(effect.shape[1], dtype=effect.dtype)
        for group in self._graph.cuttable.values():
            for slot in group.slots_with(Role.CONSUMES):
                if slot.tensor == name:
                    maps_ = effect[:, slot.index.to(effect.device)].flatten(2)  # (examples, units, places)
                    added[slot.index] = maps_.mean(2).abs().sum(0).cpu()[:, None]
        add_(self._sums, name, added)
        self._counts[name] = self._counts.get(name, 0) + len(effect)

    def result(self) -> Mapping[str, Tensor]:
        """The means by weight name."""
        return {name: found / self._counts[name] for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)
