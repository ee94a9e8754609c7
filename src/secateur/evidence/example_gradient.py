"""The gradients of single examples, as many as fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import grad

from secateur.core.contracts import Collector, Step
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.one_by_one import Map, one_by_one, parameters_of
from secateur.evidence.base import collector

#: Gradients that are kept at most.
MOST = 1024
#: Bytes that they may take.
LIMIT = 2**29
#: Fewer of them say too little.
LEAST = 16


@collector("example_gradient")
class ExampleGradient(Collector):
    """The gradients of the losses of the first examples: of 1,024, or of as many as fit into 512 MiB.

    Shapes: parameter name -> `(examples, *parameter)`
    Cost:   one forward and backward pass per example that is kept
    """

    runs_itself: ClassVar[bool] = True

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Begin with none.

        Raises:
            IncompatibleError: not even 16 gradients would fit.
        """
        self._model, self._parameters = model, parameters_of(model)
        self._most = _fitting(self._parameters)
        if self._most < LEAST:
            entries = sum(p.numel() for p in self._parameters.values())
            raise IncompatibleError(
                f"of the gradients of single examples, of {entries} parameters each, {self._most} fit into "
                f"{LIMIT // 2**20} MiB, and {LEAST} are needed. Choose a method that keeps less, obd for instance."
            )
        self._found: list[Mapping[str, Tensor]] = []
        self._samples = 0
        return nullcontext()

    def update(self, step: Step) -> None:
        """Add the examples of one batch, while there is room."""
        found = one_by_one(self._model, step, self._look)
        while self._samples < self._most and (some := next(found, None)) is not None:
            self._found.append({n: _wide(g)[: self._most - self._samples] for n, g in some.items()})
            self._samples += len(next(iter(some.values())))

    def _look(
        self, output: Callable[[Mapping[str, Tensor]], Any], loss: Callable[[Any], Tensor], _: Map
    ) -> Mapping[str, Tensor]:
        found: Mapping[str, Tensor] = grad(lambda ps: loss(output(ps)))(self._parameters)
        return found

    def result(self) -> Mapping[str, Tensor]:
        """The gradients by parameter name."""
        return {n: torch.cat([found[n] for found in self._found]) for n in (self._found[0] if self._found else ())}

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """One after the other, while there is room."""
        most = _fitting({n: g[0] for n, g in a.items()})
        return {n: torch.cat([g, b[n]])[:most] for n, g in a.items()}


def _fitting(parameters: Mapping[str, Tensor]) -> int:
    """How many gradients there is room for."""
    size = sum(p.numel() * max(p.element_size(), 4) for p in parameters.values())
    return min(MOST, LIMIT // max(size, 1))


def _wide(gradients: Tensor) -> Tensor:
    return gradients.detach().to(torch.promote_types(gradients.dtype, torch.float32)).cpu()
