"""Alive: what training has driven to zero goes, and nothing else, if that is enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from secateur.allocation.base import allocation, best_of_all
from secateur.core.contracts import Allocation, Limits
from secateur.core.scores import Scores


@allocation("alive")
@dataclass(frozen=True, kw_only=True)
class Alive(Allocation):
    """Keep every unit that scores above zero, for trainings that decide themselves; the budget is a ceiling.

    Where they would not fit the budget, all units of all blocks are ranked together and the best that fit stay, as
    `Global()` has it. Where they do, room is left: "1.0 weights" takes whatever training left alive.

    Cost: one evaluation of the budget, or about 50, and one sort.
    """

    fills: ClassVar[bool] = False

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        found = {}
        for name in limits.blocks:
            alive = int((scores.values[name] > 0).sum())
            near = limits.round(name, alive)
            found[name] = near if near >= alive else limits.next_up(name, near)
        return found if limits.fits(found) else best_of_all(scores.values, limits)
