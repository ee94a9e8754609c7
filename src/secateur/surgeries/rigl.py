"""RigL: sparse from the first step; the least weights make room where gradients are largest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import cos, pi
from typing import ClassVar

from secateur.core.contracts import Surgery
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_every, check_shares, every, exchanged, sparse_at_once, surgery


@surgery("rigl")
@dataclass(frozen=True, kw_only=True)
class RigL(Surgery):
    """Rigging the lottery: at every revision each layer drops its least weights and grows as many others.

    The first masks come from the recipe: criterion `random` and allocation `erk` for a fresh network, as in the paper.

    Paper:   Evci et al., *Rigging the Lottery: Making All Tickets Winners*, ICML 2020, Algorithm 1. arXiv:1911.11134
    Formula: of k weights of a layer that are alive, share / 2 (1 + cos(pi t / until)) k with the smallest |w| go, and
             as many dead ones with the largest |dL/dw| come, with value zero
    Shapes:  single weights
    Cost:    gradients of masked weights at every revision, which the backward pass has anyway
    Differs: nothing

    Attributes:
        share: of the weights that are alive, changed at first.
        until: share of the training after which masks stay as they are.
        every: steps between revisions.

    Example:
        >>> RigL().share
        0.3
    """

    share: float = 0.3
    until: float = 0.75
    every: int = 100
    dense_gradients: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("evci2020")

    def __post_init__(self) -> None:
        check_shares(share=self.share, until=self.until)
        check_every(self.every)

    def start(self, at: Moment) -> PruningPlan:
        """As sparse as the budget says, at once."""
        return sparse_at_once(at)

    def due(self, at: Moment) -> bool:
        """Every so many steps, until masks are frozen."""
        return at.t < self.until and every(at, self.every)

    def revise(self, at: Moment) -> PruningPlan:
        """Change places within every layer."""
        assert at.plan is not None
        share = 0.5 * self.share * (1 + cos(pi * at.t / self.until))
        kept = {}
        for name, keep in at.plan.kept.items():
            size, gradient = at.parameters[name].detach().abs().flatten(), at.gradient(name).abs().flatten()
            kept[name] = exchanged(keep, int(share * int(keep.sum())), drop=size, grow=gradient)
        return replace(at.plan, kept=kept)
