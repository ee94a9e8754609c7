"""What a layer receives on average, channel by channel."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import (
    add_,
    channels_first,
    collector,
    consumers,
    layers,
    total,
    watching_inputs,
    weighted_mean,
)


@collector("input_mean")
class InputMean(Collector):
    """Mean input of every convolution and linear layer that consumes a cuttable group.

    Shapes: weight name -> `(input channels,)`, the mean over examples and places.
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the consuming layers."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        return watching_inputs(layers(model, consumers(graph)), self._see)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        flat = channels_first(module, x)
        found = total(flat)
        add_(self._sums, name, found)
        self._counts[name] = self._counts.get(name, 0) + flat.shape[1]

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The means by weight name."""
        return {name: found / self._counts[name] for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)
