"""The same share of every block: one point, which a search should beat."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.core.contracts import Evaluate, Limits, Search
from secateur.search.base import project, search


@search("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Search):
    """The same share of every block, the largest that fits: a control that tries one choice.

    Formula: x_b = 1 for every block b; counts in proportion to x that just fit
    Cost:    one evaluation, however many there are

    Example:
        >>> Uniform()
        Uniform()
    """

    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """Try it."""
        evaluate(project(dict.fromkeys(limits.blocks, 1.0), limits))
