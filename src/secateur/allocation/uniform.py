"""Uniform: the same share of every block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secateur.allocation.base import allocation, fill, largest_share
from secateur.core.contracts import Allocation, Limits
from secateur.core.scores import Scores


@allocation("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Allocation):
    """Keep the same share of every block, the largest that fits the budget.

    What rounding leaves over is spent where most was rounded off.

    Cost: about 50 evaluations of the budget.
    """

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""

        def at(share: float) -> dict[str, int]:
            return {name: limits.round(name, share * units) for name, units in limits.blocks.items()}

        found = largest_share(at, limits)

        def most_rounded_off(now: Mapping[str, int]) -> list[str]:
            return sorted(now, key=lambda name: (now[name] / limits.blocks[name], name))

        return fill(found, limits, most_rounded_off)
