"""How large what a layer receives is on average."""

from __future__ import annotations

from torch import Tensor, nn

from secateur.evidence.base import InputAverage, collector, maps


@collector("input_absolute")
class InputAbsolute(InputAverage):
    """Mean absolute input of every convolution and linear layer that consumes a cuttable group.

    Shapes: weight name -> `(entries of the weight's consuming dim,)`, the mean over examples and places.
    """

    def figures(self, name: str, module: nn.Module, x: Tensor) -> Tensor:
        """The mean over places."""
        return maps(module, x).abs().mean(2)
