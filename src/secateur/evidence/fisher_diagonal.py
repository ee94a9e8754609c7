"""Second moments of the gradients of single examples: the diagonal of the empirical Fisher matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import grad

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.core.one_by_one import Map, one_by_one, parameters_of
from secateur.evidence.base import collector, weighted_mean


@collector("fisher_diagonal")
class FisherDiagonal(Collector):
    """Mean over examples of the squared gradient of each example's loss.

    Not to be had from the gradients of batches (`SquaredGradient`), whose squares are smaller by about the batch size.

    Formula: F = E_i[ g_i ** 2 ], of a weight that is used at many places g_i is the sum over them
    Shapes:  parameter name -> tensor in the parameter's shape
    Cost:    one forward and backward pass per example, in batches where torch can map over the model
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._model, self._parameters, self._samples = model, parameters_of(model), 0
        self._sums = {n: torch.zeros(p.shape, dtype=torch.promote_types(p.dtype, torch.float32))
                      for n, p in self._parameters.items()}  # fmt: skip
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add the examples of one batch."""
        for found in one_by_one(self._model, step, self._look):
            for name, gradients in found.items():
                self._sums[name] += gradients.to(self._sums[name]).square().sum(0)
        self._samples += step.samples

    def _look(
        self, output: Callable[[Mapping[str, Tensor]], Any], loss: Callable[[Any], Tensor], _: Map
    ) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = grad(lambda ps: loss(output(ps)))(self._parameters)
        return found

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)
