"""The parameters themselves: evidence that needs no data."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import collector


@collector("weight")
class Weight(Collector):
    """Every parameter, detached, in at least float32.

    Shapes: parameter name -> tensor in the parameter's shape.
    """

    wants_data: ClassVar[bool] = False

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Keep the parameters; `model` is a copy already."""
        self._values = {name: wide(p.detach()) for name, p in model.named_parameters()}
        return nullcontext()

    def update(self, step: Step) -> None:
        """Batches say nothing about weights."""

    def result(self) -> Mapping[str, Tensor]:
        """The parameters by name."""
        return self._values

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """Both hold the same."""
        return a


def wide(x: Tensor) -> Tensor:
    """`x` on the CPU in at least float32, so that half precision is accumulated without loss."""
    return x.cpu() if x.element_size() >= 4 else x.cpu().float()
