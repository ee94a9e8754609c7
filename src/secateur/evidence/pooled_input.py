"""What a layer receives, pooled over places, example by example."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import collector, consumers, layers, maps, watching_inputs


@collector("pooled_input")
class PooledInput(Collector):
    """Global average pool of the input of every convolution and linear layer that consumes a cuttable group.

    Shapes: weight name -> `(entries of the weight's consuming dim, examples)`
    Cost:   4 bytes for each entry and example, and as much again while it grows
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the consuming layers."""
        self._pooled: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        return watching_inputs(layers(model, consumers(graph)), self._see)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        found = maps(module, x).mean(2).cpu()
        first = self._counts.get(name, 0)
        self._counts[name] = last = first + len(found)
        room = self._pooled.get(name, found.new_empty(0, found.shape[1]))
        if last > len(room):
            # Twice the room each time: many small tensors, kept among large ones that go, would scatter the memory.
            more = found.new_empty(max(last, 2 * first), found.shape[1])
            more[:first] = room[:first]
            self._pooled[name] = room = more
        room[first:last] = found

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The pooled inputs by weight name."""
        return {name: found[: self._counts[name]].T for name, found in self._pooled.items()}

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """The examples of both."""
        return {name: torch.cat([a[name], b[name]], 1) for name in a}
