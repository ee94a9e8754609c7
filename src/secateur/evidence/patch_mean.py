"""What the outputs of a layer see on average, entry by entry."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import add_, collector, layers, patch_sums, watching_inputs, weighing, weighted_mean


@collector("patch_mean")
class PatchMean(Collector):
    """Mean of the patches that the outputs of a layer see: the first moments that go with `InputGram`.

    `InputMean` is the mean of a channel; where a convolution pads with zeros, an entry of the patch means less.

    Formula: m = E[x]
    Shapes:  weight name -> `(groups, entries)` float64, the entries in the order of `weight.flatten(1)`
    Cost:    one forward pass per batch

    Transposed convolutions have no entry here.
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the layers."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        found = layers(model, weighing(graph))
        return watching_inputs({n: m for n, m in found.items() if not getattr(m, "transposed", False)}, self._see)

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        sums, count = patch_sums(module, x.to(torch.promote_types(x.dtype, torch.float32)))
        found = sums.cpu()
        add_(self._sums, name, found)
        self._counts[name] = self._counts.get(name, 0) + count

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The means by weight name."""
        return {name: found / self._counts[name] for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)
