"""Exponential: many small cuts, each with new scores, and no training between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.paper import Paper
from secateur.schedules.base import Stepped, schedule


@schedule("exponential")
@dataclass(frozen=True, kw_only=True)
class Exponential(Stepped):
    """Iterative scoring: the same share of what is left goes in every round, and nothing is trained until the last.

    Paper:   Tanaka et al., *Pruning Neural Networks without Any Data by Iteratively Conserving Synaptic Flow*, NeurIPS
             2020, Alg. 1. arXiv:2006.05467
    Formula: keep(t) = final ** t
    Differs: nothing

    Attributes:
        steps: rounds of scoring and pruning.

    Example:
        >>> Exponential(steps=2).keep(0.5, 0.25)
        0.5
    """

    steps: int = 100
    paper: ClassVar[Paper | None] = Paper("tanaka2020")
    trains: ClassVar[bool] = False

    def keep(self, t: float, final: float) -> float:
        """`final ** t`."""
        return float(final**t)
