"""L2: half the square of every weight, as weight decay charges it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_positive, regularizer, weights


@regularizer("l2")
@dataclass(frozen=True, kw_only=True)
class L2(Regularizer):
    """Squares of all weights of convolutions and linear layers.

    Paper:   Hoerl and Kennard, *Ridge Regression: Biased Estimation for Nonorthogonal Problems*, Technometrics 1970
    Formula: R = strength / 2 * sum w^2
    Shapes:  weights of any shape -> one number
    Cost:    O(weights) per step
    Differs: the paper fits linear models. It shrinks and never makes zeros; Han 2015 found it the better companion of
             iterative pruning. Biases and norms are not charged, which an optimiser's weight decay does

    Attributes:
        strength: lambda, as weight decay counts it.

    Example:
        >>> L2(strength=5e-4).strength
        0.0005
    """

    strength: float = 1e-4
    paper: ClassVar[Paper | None] = Paper("hoerl1970")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        return 0.5 * self.strength * torch.stack([at.value(n).square().sum() for n in weights(at.graph)]).sum()
