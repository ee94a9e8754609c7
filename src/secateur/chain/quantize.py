"""Quantize: weights that share few values, as a step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from secateur.chain.base import Given, State, Step, step
from secateur.core.recipe import FineTune
from secateur.core.settings import read_settings
from secateur.quantize import quantize, quantized_of
from secateur.quantizers import QUANTIZERS
from secateur.training import train_


@step("quantize")
@dataclass(frozen=True, kw_only=True)
class Quantize(Step):
    """Give the weights few values, and train those for a while.

    Attributes:
        quantizer: a name from `secateur list quantizers`, with settings: "kmeans(bits=4)".
        epochs: of training what the quantizer trains (centroids, or the weights behind a grid); 0 trains nothing.
        lr: peak learning rate of that.

    Example:
        >>> str(Quantize(quantizer="kmeans(bits=4)"))
        'quantize by kmeans(bits=4)'
    """

    quantizer: str = "kmeans(bits=5)"
    epochs: float = 0.0
    lr: float = 1e-4
    stage: ClassVar[int | None] = 3
    reason = "weights have their few values by then, and would get others"

    def __str__(self) -> str:
        return f"quantize by {self.quantizer}"

    def apply(self, state: State, given: Given) -> State:
        """The network with its weights behind codes; masks stay."""
        name, settings = read_settings(self.quantizer, QUANTIZERS)
        student = quantize(state.model, QUANTIZERS[name](**settings))
        if self.epochs and given.data is not None:
            how = FineTune(epochs=self.epochs, lr=self.lr, optimizer="adam", weight_decay=0.0)
            train_(student, given.data, how, loss=given.loss, progress=given.progress, what="train values")
        found = quantized_of(student)
        return replace(state, model=student, told=(f"{len(found)} weights quantized",))
