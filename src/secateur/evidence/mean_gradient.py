"""The gradient of the mean loss over all data."""

from __future__ import annotations

from torch import Tensor

from secateur.evidence.base import GradientAverage, collector


@collector("mean_gradient")
class MeanGradient(GradientAverage):
    """Mean over mini-batches of the gradient of the batch's mean loss, every batch weighted by its examples.

    Where the loss is a mean over examples, that is the gradient of the mean loss over all of them.

    Shapes: parameter name -> tensor in the parameter's shape.
    """

    @staticmethod
    def of(gradient: Tensor) -> Tensor:
        """The gradient itself."""
        return gradient
