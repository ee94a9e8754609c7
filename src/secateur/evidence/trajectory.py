"""Where weights move while the network is trained on."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.errors import SecateurError
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import collector, weighted_mean


@collector("trajectory")
class Trajectory(Collector):
    """- sum over training steps of weight times gradient: positive where weights move away from zero.

    The steps are those of plain SGD, one for each batch, on a copy in eval mode.

    Formula: m = - sum_t w_t g_t, w_{t+1} = w_t - lr g_t, lr = 0.001
    Shapes:  parameter name -> tensor in the parameter's shape
    Cost:    one forward and backward pass per batch

    Attributes:
        lr: the learning rate.
    """

    runs_itself: ClassVar[bool] = True
    additive: ClassVar[bool] = False
    lr: ClassVar[float] = 1e-3

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._model = model
        self._movement = {n: torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32), device="cpu")
                          for n, p in model.named_parameters()}  # fmt: skip
        return nullcontext()

    def update(self, step: Step) -> None:
        """Take one step.

        Raises:
            SecateurError: the loss became NaN or infinite.
        """
        named = {n: p for n, p in self._model.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            value = step.loss(step.example.call(self._model), step.target)
            if not bool(torch.isfinite(value)):
                raise SecateurError(f"the loss is {value.item()} while movement is followed. Check data and targets.")
            found = torch.autograd.grad(value, list(named.values()), allow_unused=True, materialize_grads=True)
        with torch.no_grad():
            for (name, weight), gradient in zip(named.items(), found, strict=True):
                product = weight.to("cpu", self._movement[name].dtype) * gradient.to("cpu", self._movement[name].dtype)
                self._movement[name] -= product
                weight.sub_(self.lr * gradient)

    def result(self) -> Mapping[str, Tensor]:
        """The movement by parameter name."""
        return self._movement

    merge = staticmethod(weighted_mean)
