"""The Hessian times the gradient."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_map

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import collector, weighted_mean


@collector("hessian_gradient")
class HessianGradient(Collector):
    """H g of the mean loss over all data, with outputs divided by a temperature.

    The first walk finds g, the second differentiates each batch's gradient along it: H_b g = d(grad_b . g)/dw.

    Formula: H g, g = grad L, H = grad^2 L, L = E_n[ loss(output_n / T, target_n) ], T = 200
    Shapes:  parameter name -> tensor in the parameter's shape
    Cost:    two forward and three backward passes per batch; memory for 3 n numbers beside the passes

    Attributes:
        temperature: T; large, so that the softmax of an untrained network is even.
    """

    runs_itself: ClassVar[bool] = True
    walks: ClassVar[int] = 2
    additive: ClassVar[bool] = False
    temperature: ClassVar[float] = 200.0

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin at zero."""
        self._model = model
        self._parameters = {n: p for n, p in model.named_parameters() if p.requires_grad}
        self._gradient = {n: _zeros(p, p.device) for n, p in self._parameters.items()}
        self._product = {n: _zeros(p, torch.device("cpu")) for n, p in model.named_parameters()}
        self._samples = 0
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add one batch to the gradient or, on the second walk, to the product."""
        with torch.enable_grad(), sdpa_kernel([SDPBackend.MATH]):  # the fused kernels cannot be differentiated twice
            output = _cooled(step.example.call(self._model), self.temperature)
            value = step.loss(output, step.target)
            parameters = list(self._parameters.values())
            found = torch.autograd.grad(
                value, parameters, create_graph=step.walk > 0, allow_unused=True, materialize_grads=True
            )
            if step.walk == 0:
                self._samples += step.samples
                for name, gradient in zip(self._gradient, found, strict=True):
                    self._gradient[name] += gradient.detach().to(self._gradient[name]) * step.samples
                return
            along = sum((g * (self._gradient[n] / self._samples).to(g)).sum()
                        for n, g in zip(self._gradient, found, strict=True))  # fmt: skip
            if not isinstance(along, Tensor) or not along.requires_grad:
                return  # the gradient is the same for all weights, so the Hessian is zero
            second = torch.autograd.grad(along, parameters, allow_unused=True, materialize_grads=True)
        for name, product in zip(self._parameters, second, strict=True):
            self._product[name] += product.detach().to(self._product[name]) * step.samples

    def result(self) -> Mapping[str, Tensor]:
        """The product by parameter name."""
        return {name: total / max(self._samples, 1) for name, total in self._product.items()}

    merge = staticmethod(weighted_mean)


def _zeros(p: Tensor, device: torch.device) -> Tensor:
    return torch.zeros_like(p, dtype=torch.promote_types(p.dtype, torch.float32), device=device)


def _cooled(output: Any, temperature: float) -> Any:
    """An output with every floating-point tensor inside divided by `temperature`."""
    return tree_map(
        lambda x: x / temperature if isinstance(x, Tensor) and x.is_floating_point() else x,
        output,
    )
