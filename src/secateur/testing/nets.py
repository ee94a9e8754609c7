"""One-line networks for tests of the channel graph: a function of layers, traced, and put through every check."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_, verify
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.core.rng import generator
from secateur.graph.trace import trace
from secateur.testing.system import TOLERANCE, check_cost, check_dead_units, random_plan, untouched


class Net(nn.Module):
    """A forward function `(module, *inputs)` with layers, which it finds as attributes of the module."""

    def __init__(self, function: Callable[..., Any], **layers: nn.Module | nn.Parameter | int) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            setattr(self, name, layer)

    def forward(self, *inputs: Any) -> Any:
        """Whatever the function returns."""
        return self.function(self, *inputs)


def floats(*shape: int) -> Tensor:
    """Normal numbers in float64, the same for the same shape."""
    return torch.randn(shape, generator=generator(1, "floats"), dtype=torch.float64)


def traced(function: Callable[..., Any], *inputs: Any, **layers: Any) -> tuple[nn.Module, ChannelGraph]:
    """A network with strong random weights and its graph; tracing must not change the network."""
    model = strengthen_(Net(function, **layers)).eval()
    with untouched(model):
        graph = trace(model, inputs)
    return model, graph


def sound(model: nn.Module, graph: ChannelGraph, *inputs: Any, seeds: Iterable[int] = range(4)) -> None:
    """Masked and shrunk networks agree for random plans, in both modes; dead units are dead, costs are exact."""
    example = Example.of(inputs)
    for seed in seeds:
        plan = random_plan(graph, seed)
        verify(model, plan)
        masked, shrunk = mask(model, plan), shrink(model, plan)
        for training in (False, True):
            found = (outputs(m, example, training=training) for m in (masked, shrunk))
            gap = difference(*found)
            assert gap < TOLERANCE, f"outputs differ by {gap:.1e}, {training=}, {seed=}"
        check_dead_units(model, plan, [example])
        check_cost(model, plan, example)


def widths(graph: ChannelGraph) -> dict[str, int]:
    """The groups that may be cut, with their units."""
    return {name: group.units for name, group in graph.cuttable.items()}


__all__ = ["Net", "floats", "sound", "traced", "widths"]
