"""The gradient of the mean loss over all data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import collector, weighted_mean


@collector("mean_gradient")
class MeanGradient(Collector):
    """Mean over mini-batches of the gradient of the batch's mean loss, every batch weighted by its examples.

    Where the loss is a mean over examples, that is the gradient of the mean loss over all of them.

    Shapes: parameter name -> tensor in the parameter's shape.
    """

    wants_gradients: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._sums = {n: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32), device="cpu")
                      for n, p in model.named_parameters()}  # fmt: skip
        self._samples = 0
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add one batch."""
        self._samples += step.samples
        for name, gradient in step.gradients.items():
            self._sums[name] += gradient.to(self._sums[name]) * step.samples

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)
