"""LAMP: each score over those of its block that are no less, then one ranking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from secateur.allocation.base import allocation, best_of_all
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scores


@allocation("lamp")
@dataclass(frozen=True, kw_only=True)
class LAMP(Allocation):
    """Rank all units by `s_u^power / sum of s_v^power over v of the same block with s_v >= s_u`, and keep the best.

    With magnitudes of weights that is the criterion `lamp` (Lee et al., *Layer-adaptive Sparsity for the
    Magnitude-based Pruning*, ICLR 2021; arXiv:2010.07611); this takes scores of any criterion. The best unit of a block
    always has rank 1, so that no block is emptied. Equals are taken in the order of their numbers. Scores below zero
    count as zero.

    Attributes:
        power: 2 for scores that are sizes, 1 for those that are squares already.

    Cost: about 50 evaluations of the budget, and a sort of each block.
    """

    power: float = 2.0

    def __post_init__(self) -> None:
        if self.power <= 0:
            raise IncompatibleError(f"power must be above 0, got power={self.power!r}. 2 is the paper's.")

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        return best_of_all({name: self._adapted(scores.values[name]) for name in limits.blocks}, limits)

    def _adapted(self, values: Tensor) -> Tensor:
        finite = torch.isfinite(values)
        sizes = torch.where(finite, values.double().clamp_min(0), 0.0)
        sizes = (sizes / sizes.max().clamp_min(1e-300)) ** self.power
        best_first = torch.sort(sizes, descending=True, stable=True)
        over = best_first.values.cumsum(0)
        shares = torch.empty_like(sizes)
        shares[best_first.indices] = torch.where(over > 0, best_first.values / over.clamp_min(1e-300), 0.0)
        return torch.where(finite, shares, values.double())

    @classmethod
    def examples(cls) -> list[LAMP]:
        """Sizes and squares."""
        return [cls(), cls(power=1.0)]
