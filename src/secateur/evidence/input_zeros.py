"""How often what a layer receives is exactly zero."""

from __future__ import annotations

from torch import Tensor, nn

from secateur.evidence.base import InputAverage, collector, maps


@collector("input_zeros")
class InputZeros(InputAverage):
    """Share of zeros in the input of every convolution and linear layer that consumes a cuttable group.

    Shapes: weight name -> `(entries of the weight's consuming dim,)`, the mean over examples and places, in [0, 1].
    """

    def figures(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """The share of zero places."""
        found = maps(module, x)
        return (found == 0).to(found.dtype).mean(2)
