"""The diagonal of the Hessian, estimated from its products with random signs."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.evidence.base import collector, weighted_mean

#: Random vectors for each batch.
PROBES = 8


@collector("hessian_diagonal")
class HessianDiagonal(Collector):
    """Diagonal of the Hessian of the loss by Hutchinson's estimator, with 8 random vectors of signs for each batch.

    It has no bias, and a variance: the squares of a row's other entries, over the number of vectors. So entries of
    either sign come out where the diagonal is small. The vectors depend on the number of the batch in the walk.

    Formula: h = E[ v * (H v) ], v of random signs, H of the mean loss of a batch
    Shapes:  parameter name -> tensor in the parameter's shape
    Cost:    one forward and nine backward passes per batch, the graph of the first backward pass in memory
    """

    runs_itself: ClassVar[bool] = True
    additive: ClassVar[bool] = False

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._model, self._samples, self._batches = model, 0, 0
        self._parameters = {n: p for n, p in model.named_parameters() if p.is_floating_point()}
        self._sums = {n: torch.zeros(p.shape, dtype=torch.promote_types(p.dtype, torch.float32))
                      for n, p in self._parameters.items()}  # fmt: skip
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add one batch."""
        with sdpa_kernel(SDPBackend.MATH), torch.enable_grad():  # the only attention with second derivatives
            value = step.loss(step.example.call(self._model), step.target)
            found = torch.autograd.grad(
                value, list(self._parameters.values()), create_graph=True, allow_unused=True, materialize_grads=True
            )
            for number in range(PROBES):
                self._probe(dict(zip(self._parameters, found, strict=True)), number, step.samples / PROBES)
        self._samples += step.samples
        self._batches += 1

    def _probe(self, gradients: Mapping[str, Tensor], number: int, share: float) -> None:
        signs = {n: self._signs(n, number) for n in gradients}
        along = sum((g * signs[n]).sum() for n, g in gradients.items())
        assert isinstance(along, Tensor)
        if not along.requires_grad:  # a loss that is linear in all parameters
            return
        products = torch.autograd.grad(
            along, list(self._parameters.values()), retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for name, product in zip(self._parameters, products, strict=True):
            self._sums[name] += (signs[name] * product.detach()).to(self._sums[name]) * share

    def _signs(self, name: str, number: int) -> Tensor:
        parameter = self._parameters[name]
        rng = generator(number, name, str(self._batches))
        return (torch.randint(2, parameter.shape, generator=rng) * 2 - 1).to(parameter)

    def result(self) -> Mapping[str, Tensor]:
        """The mean by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)
