"""SET: sparse from the first step; the least weights make room for others at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.surgeries.base import Rewiring, surgery


@surgery("set")
@dataclass(frozen=True, kw_only=True)
class SET(Rewiring):
    """Sparse evolutionary training: after every epoch each layer drops its least weights and grows others at random.

    The first masks come from the recipe: criterion `random` and allocation `erk(kernel=False)`, as in the paper.

    Paper:   Mocanu et al., *Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity Inspired
             by Network Science*, Nature Communications 2018, Algorithm 1. arXiv:1707.04780
    Formula: of k weights of a layer that are alive, share k with the smallest |w| go, and as many dead ones come
    Shapes:  single weights
    Cost:    one sort of every layer's weights an epoch
    Differs: the smallest |w| go, where the paper takes the smallest positive and the largest negative ones apart; new
             weights begin at zero

    Attributes:
        share: of the weights that are alive, changed each time.
        until: share of the training after which masks stay as they are.
        every: steps between revisions; 0 revises at the end of every epoch.

    Example:
        >>> SET().share
        0.3
    """

    paper: ClassVar[Paper | None] = Paper("mocanu2018")

    def wanted(self, at: Moment, name: str, size: Tensor) -> Tensor:
        """Any, by chance."""
        return torch.rand(size.numel(), generator=at.generator).to(size)
