"""The flow through every weight from an input of ones to the output."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from secateur.core.contracts import Collector, Step
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.evidence.base import collector


@collector("synaptic_flow")
class SynapticFlow(Collector):
    """|w dR/dw| of every parameter, R the sum of all outputs for an input of ones once every weight is made positive.

    Parameters and floating-point buffers are replaced by their absolute values, in float64. Inputs have the shape of
    the example that the network was traced with; whole numbers (tokens) are 1, or the nearest value that was seen.

    Shapes: parameter name -> tensor in the parameter's shape, float64
    Cost:   one forward and backward pass in float64
    """

    wants_data: ClassVar[bool] = False
    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Run the positive network once."""
        model.double()
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():
                tensor.data.abs_()
        named = {n: p for n, p in model.named_parameters() if p.requires_grad}
        with torch.enable_grad():
            found = [x for x in tree_leaves(_ones(graph, model).call(model)) if isinstance(x, Tensor)]
            value = sum((x.sum() for x in found if x.is_floating_point()), torch.zeros((), dtype=torch.float64))
            wanted = list(named.values())
            gradients = torch.autograd.grad(value, wanted, allow_unused=True, materialize_grads=True)
        self._flow = {n: torch.zeros(p.shape, dtype=torch.float64) for n, p in model.named_parameters()}
        self._flow |= {n: (p * g).detach().abs().cpu() for (n, p), g in zip(named.items(), gradients, strict=True)}
        return nullcontext()

    def update(self, step: Step) -> None:
        """Batches say nothing."""

    def result(self) -> Mapping[str, Tensor]:
        """The flow by parameter name."""
        return self._flow

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """Both hold the same."""
        return a


def _ones(graph: ChannelGraph, model: nn.Module) -> Example:
    """Ones in the shape of the traced example."""
    device = next(iter(model.parameters())).device

    def one(x: Tensor) -> Tensor:
        if x.is_floating_point():
            return torch.ones(x.shape, dtype=torch.float64, device=device)
        if x.is_complex() or not x.numel():
            return x.to(device)
        ones = torch.ones_like(x)  # a mask lets everything through
        return (ones if x.dtype == torch.bool else ones.clamp(x.min(), x.max())).to(device)

    return Example.from_spec(graph.inputs, generator(0, "synaptic flow")).map(one)
