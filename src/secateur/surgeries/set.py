"""SET: sparse from the first step; the least weights make room for others at random."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from secateur.core.contracts import Surgery
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_every, check_shares, every, exchanged, sparse_at_once, surgery


@surgery("set")
@dataclass(frozen=True, kw_only=True)
class SET(Surgery):
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

    share: float = 0.3
    until: float = 0.9
    every: int = 0
    paper: ClassVar[Paper | None] = Paper("mocanu2018")

    def __post_init__(self) -> None:
        check_shares(share=self.share, until=self.until)
        check_every(self.every)

    def start(self, at: Moment) -> PruningPlan:
        """As sparse as the budget says, at once."""
        return sparse_at_once(at)

    def due(self, at: Moment) -> bool:
        """At the end of every epoch, until masks are frozen."""
        return at.t < self.until and every(at, self.every)

    def revise(self, at: Moment) -> PruningPlan:
        """Change places within every layer."""
        assert at.plan is not None
        kept = {}
        for name, keep in at.plan.kept.items():
            size = at.parameters[name].detach().abs().flatten()
            drawn = torch.rand(keep.numel(), generator=at.generator).to(size)
            kept[name] = exchanged(keep, int(self.share * int(keep.sum())), drop=size, grow=drawn)
        return replace(at.plan, kept=kept)
