"""How the loss of each example would move if what a layer receives were turned down, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import grad

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph, Role
from secateur.core.one_by_one import Map, one_by_one, parameters_of
from secateur.evidence.base import collector


@collector("mask_gradient")
class MaskGradient(Collector):
    """Derivative of each example's loss by a factor on every entry of the dim along which a weight consumes a group.

    Such a factor multiplies the weight's entries as much as what they meet, so no activation need be seen: the
    derivative is the sum of gradient times weight over all entries of the weight that share the place.

    Formula: d_i = sum over the other dims of g_i * w
    Shapes:  weight name -> `(examples, entries of the dim)`
    Cost:    one forward and backward pass per example
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin with none."""
        self._model, self._parameters = model, parameters_of(model)
        slots = [slot for group in graph.cuttable.values() for slot in group.slots_with(Role.CONSUMES)]
        self._dims = {s.tensor: s.dim for s in slots if s.tensor in self._parameters}
        self._found: list[Mapping[str, Tensor]] = []
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add the examples of one batch."""
        self._found += [{n: d.cpu() for n, d in some.items()} for some in one_by_one(self._model, step, self._look)]

    def _look(
        self, output: Callable[[Mapping[str, Tensor]], Any], loss: Callable[[Any], Tensor], _: Map
    ) -> Mapping[str, Tensor]:
        gradients = grad(lambda ps: loss(output(ps)))(self._parameters)
        products = {n: (gradients[n] * self._parameters[n]).movedim(dim, 0) for n, dim in self._dims.items()}
        return {
            n: x.flatten(1).sum(1, dtype=torch.promote_types(x.dtype, torch.float32)) if x.ndim > 1 else x
            for n, x in products.items()
        }

    def result(self) -> Mapping[str, Tensor]:
        """The derivatives by weight name."""
        return {n: torch.cat([found[n] for found in self._found]) for n in self._dims if self._found}

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """One after the other."""
        return {n: torch.cat([d, b[n]]) for n, d in a.items()}
