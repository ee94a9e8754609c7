"""How large the entries are that a layer receives."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import add_, collector, layers, patch_sums, watching_inputs, weighing


@collector("input_norm")
class InputNorm(Collector):
    """Euclidean norm, over all examples and places, of each entry of what the outputs of a layer see.

    Formula: n_j = || X_j ||_2, X_j the j-th entry of all patches
    Shapes:  weight name -> `(groups, entries)`, the entries in the order of `weight.flatten(1)`
    Cost:    one forward pass per batch

    Transposed convolutions have no entry here.
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the layers."""
        self._sums: dict[str, Tensor] = {}
        found = layers(model, weighing(graph))
        return watching_inputs({n: m for n, m in found.items() if not getattr(m, "transposed", False)}, self._see)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        found = patch_sums(module, wide.square())[0].cpu()
        add_(self._sums, name, found)

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The norms by weight name."""
        return {name: total.sqrt() for name, total in self._sums.items()}

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """Norms over more entries add up as squares do."""
        return {name: (a[name].square() + b[name].square()).sqrt() for name in a}
