"""Second moments of mini-batch gradients."""

from __future__ import annotations

from torch import Tensor

from secateur.evidence.base import GradientAverage, collector


@collector("squared_gradient")
class SquaredGradient(GradientAverage):
    """Mean over mini-batches of the squared gradient of the batch's mean loss.

    Formula: v = E_b[ g_b ** 2 ], every batch weighted by its number of examples
    Shapes:  parameter name -> tensor in the parameter's shape.
    """

    @staticmethod
    def of(gradient: Tensor) -> Tensor:
        """Its squares."""
        return gradient.square()
