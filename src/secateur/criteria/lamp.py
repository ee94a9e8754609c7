"""Layer-adaptive magnitude: how much of what its layer still has would this weight take along?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import Weight


@criterion("lamp")
@dataclass(frozen=True, kw_only=True)
class LAMP(ElementCriterion):
    """Squared magnitude over that of all weights of the tensor that are no smaller.

    Paper:   Lee et al., *Layer-Adaptive Sparsity for the Magnitude-based Pruning*, ICLR 2021, Eq. 5. arXiv:2010.07611
    Formula: s(u) = w_u^2 / sum over v in the tensor with w_v^2 >= w_u^2 of w_v^2
    Shapes:  tensor (*) -> scores (*)
    Cost:    O(n log n) for n weights; no data
    Differs: equal weights share one score, where the paper orders them somehow. The paper prunes single weights; a
             larger unit's score is the sum over its entries

    Example:
        >>> LAMP.traits.scale
        'invariant'
    """

    paper: ClassVar[Paper | None] = Paper("lee2021")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(scale="invariant", comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """The share of each weight in what is no smaller."""
        squares = evidence[Weight][tensor].double().square()
        ordered = squares.flatten().sort(descending=True).values
        sums = ordered.cumsum(0)
        # how many weights are at least as large: those in front of, and level with, this one
        level = torch.searchsorted(-ordered, -squares.flatten(), right=True)
        rest = sums[level - 1].view(squares.shape)
        return torch.where(rest > 0, squares / torch.where(rest > 0, rest, 1.0), 0.0)
