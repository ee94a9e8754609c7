"""Random search: the control that every other search has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from secateur.core.contracts import Evaluate, Limits, Search
from secateur.core.rng import generator
from secateur.search.base import project, search


@search("random")
@dataclass(frozen=True, kw_only=True)
class Random(Search):
    """Shares by lot, scaled to the budget: the control.

    Formula: x_b uniform in [0, 1] for every block b, independently; counts in proportion to x that just fit
    Cost:    as many evaluations as there are

    Example:
        >>> Random()
        Random()
    """

    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """Try one draw after the other."""
        rng = generator(seed, "search", "random")
        names = list(limits.blocks)
        for _ in range(evaluations):
            lots = torch.rand(len(names), generator=rng, dtype=torch.float64).tolist()
            evaluate(project(dict(zip(names, lots, strict=True)), limits))
