"""What the loss would be without a residual block."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import collector, weighted_mean


@collector("block_loss")
class BlockLoss(Collector):
    """By how much the loss rises when one residual block gives its input back, all others as they are.

    Formula: E[ L(network without the block) - L(network) ]
    Shapes:  module name -> `()`, for every module that may go as a whole
    Cost:    blocks + 1 forward passes per batch
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Remember the residual blocks."""
        self._model = model
        self._sums = {name: torch.zeros((), dtype=torch.float64) for name in graph.blocks}
        self._samples = 0
        return nullcontext()

    def update(self, step: Step) -> None:
        """Run the batch with all blocks, and without each."""
        self._samples += step.samples
        with torch.no_grad():
            whole = self._loss(step)
            for name in self._sums:
                handle = self._model.get_submodule(name).register_forward_hook(lambda _, args, __: args[0])
                try:
                    self._sums[name] += (self._loss(step) - whole) * step.samples
                finally:
                    handle.remove()

    def _loss(self, step: Step) -> Tensor:
        return step.loss(step.example.call(self._model), step.target).double().cpu()

    def result(self) -> Mapping[str, Tensor]:
        """The means by module name."""
        return {name: found / max(self._samples, 1) for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)
