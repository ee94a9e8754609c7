"""Cubic: fast at first, when there is much to remove, and slow towards the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.paper import Paper
from secateur.schedules.base import Stepped, schedule


@schedule("cubic")
@dataclass(frozen=True, kw_only=True)
class Cubic(Stepped):
    """Automated gradual pruning.

    Paper:   Zhu and Gupta, *To Prune, or Not to Prune*, ICLR Workshop 2018, Eq. 1. arXiv:1710.01878
    Formula: keep(t) = final + (1 - final) * (1 - t) ** 3
    Differs: nothing; sparsity there is 1 - keep here, starting from a dense network

    Attributes:
        steps: rounds of pruning and training.

    Example:
        >>> Cubic(steps=4).keep(0.5, 0.0)
        0.125
    """

    steps: int = 5
    paper: ClassVar[Paper | None] = Paper("zhu2018")

    def keep(self, t: float, final: float) -> float:
        """The cubic from 1 down to `final`."""
        return final + (1 - final) * (1 - t) ** 3
