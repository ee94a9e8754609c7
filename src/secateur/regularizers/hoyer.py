"""Hoyer: a smooth stand-in for the number of weights that are not zero, which does not care for their scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_choice, check_positive, grouped, norm_of, regularizer, weights


@regularizer("hoyer")
@dataclass(frozen=True, kw_only=True)
class Hoyer(Regularizer):
    """Hoyer-square of every weight tensor: between 1 and its number of entries, whatever the scale.

    Paper:   Yang, Wen, Li, *DeepHoyer: Learning Sparser Neural Network with Differentiable Sparsity Measures*, ICLR
             2020, Eq. 3 and 5. arXiv:1908.09979
    Formula: R = strength * sum over layers of (sum |w|)^2 / sum w^2; of groups, |w| is the norm of each group
    Shapes:  weights of any shape -> one number
    Cost:    O(weights) per step
    Differs: a layer of zeros is charged nothing

    Attributes:
        strength: lambda.
        groups: "weight" for every entry, "filter" or "channel" for norms of those (Group-HS).

    Example:
        >>> Hoyer().groups
        'weight'
    """

    strength: float = 1e-4
    groups: str = "weight"
    paper: ClassVar[Paper | None] = Paper("yang2020")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength)
        check_choice(("weight", "filter", "channel"), groups=self.groups)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        values = {name: at.value(name) for name in weights(at.graph)}
        if self.groups == "weight":
            return self.strength * torch.stack([_square(v.abs()) for v in values.values()]).sum()
        groups = grouped(at.graph, self.groups)
        norms = norm_of(groups.squares(values)).split([cell.numel() for _, cell in groups.cells])
        return self.strength * torch.stack([_square(one) for one in norms]).sum()

    @classmethod
    def examples(cls) -> list[Hoyer]:
        """Entries and filters."""
        return [cls(), cls(groups="filter")]


def _square(sizes: Tensor) -> Tensor:
    squares = sizes.square().sum()
    return sizes.sum().square() / torch.where(squares > 0, squares, 1.0)
