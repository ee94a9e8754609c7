"""Global: one ranking over the whole network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from secateur.allocation.base import allocation, best_of_all
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scope, Scores


@allocation("global")
@dataclass(frozen=True, kw_only=True)
class Global(Allocation):
    """Rank all units of all blocks together and keep the best, as many as fit the budget.

    Attributes:
        normalize: what makes scores of different blocks comparable: divide each block by its "mean" or "max", or "none"
            where the criterion promises that they are comparable as they are.

    Among equal scores every block keeps the same share, so constant scores are cut uniformly.

    Cost: about 50 evaluations of the budget, and one sort.
    """

    normalize: Literal["none", "mean", "max"] = "none"

    def __post_init__(self) -> None:
        if self.normalize not in ("none", "mean", "max"):
            raise IncompatibleError(f"normalize must be 'none', 'mean' or 'max', got {self.normalize!r}.")

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        if scores.comparable < Scope.GLOBAL and self.normalize == "none":
            raise IncompatibleError(
                f"scores of {scores.criterion} may be ranked within a block only, not over the network. "
                'Use Global(normalize="mean"), or Uniform().'
            )
        return best_of_all({n: self._comparable(scores.values[n]) for n in limits.blocks}, limits)

    def _comparable(self, values: Tensor) -> Tensor:
        finite = values[torch.isfinite(values)]
        if self.normalize == "none" or not finite.numel():
            return values
        size = finite.mean() if self.normalize == "mean" else finite.max()
        return values / size.clamp_min(1e-30)

    @classmethod
    def examples(cls) -> list[Global]:
        """Both normalisers."""
        return [cls(normalize="mean"), cls(normalize="max")]
