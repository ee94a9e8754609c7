"""L1: the absolute value of every weight."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_positive, regularizer, weights


@regularizer("l1")
@dataclass(frozen=True, kw_only=True)
class L1(Regularizer):
    """Absolute values of all weights of convolutions and linear layers.

    Paper:   Tibshirani, *Regression Shrinkage and Selection via the Lasso*, J. R. Stat. Soc. B 1996
    Formula: R = strength * sum |w|
    Shapes:  weights of any shape -> one number
    Cost:    O(weights) per step
    Differs: the paper fits linear models. Subgradient steps leave small weights, not zeros; `proximal` makes zeros

    Attributes:
        strength: lambda.

    Example:
        >>> L1(strength=1e-5).strength
        1e-05
    """

    strength: float = 1e-5
    paper: ClassVar[Paper | None] = Paper("tibshirani1996")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        return self.strength * torch.stack([at.value(name).abs().sum() for name in weights(at.graph)]).sum()
