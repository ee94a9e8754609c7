"""Geometric: remove the same share of what is left in every round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.paper import Paper
from secateur.schedules.base import Stepped, schedule


@schedule("geometric")
@dataclass(frozen=True, kw_only=True)
class Geometric(Stepped):
    """Iterative pruning: each round keeps the same share of what the round before left.

    Paper:   Han et al., *Learning both Weights and Connections*, NIPS 2015, Sec. 3.4 (iterative pruning).
             arXiv:1506.02626
    Formula: keep(t) = final ** t
    Differs: the paper chooses each round's threshold by hand

    Attributes:
        steps: rounds of pruning and training.

    Example:
        >>> Geometric(steps=2).keep(0.5, 0.25)
        0.5
    """

    steps: int = 3
    paper: ClassVar[Paper | None] = Paper("han2015")

    def keep(self, t: float, final: float) -> float:
        """`final ** t`."""
        return float(final**t)
