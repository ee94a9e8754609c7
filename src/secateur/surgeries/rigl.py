"""RigL: sparse from the first step; the least weights make room where gradients are largest."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, pi
from typing import ClassVar

from torch import Tensor

from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.surgeries.base import Rewiring, surgery


@surgery("rigl")
@dataclass(frozen=True, kw_only=True)
class RigL(Rewiring):
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

    until: float = 0.75
    every: int = 100
    dense_gradients: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("evci2020")

    def changed(self, t: float) -> float:
        """Half a cosine."""
        return 0.5 * self.share * (1 + cos(pi * t / self.until))

    def wanted(self, at: Moment, name: str, size: Tensor) -> Tensor:
        """Those with the largest gradients."""
        return at.gradient(name).abs().flatten()
