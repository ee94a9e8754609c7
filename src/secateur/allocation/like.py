"""As many units of each block as another plan keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from secateur.allocation.base import allocation, fill, largest_share
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.plan import PruningPlan
from secateur.core.scores import Scores


@allocation("like")
@dataclass(frozen=True, kw_only=True)
class Like(Allocation):
    """The shares of another plan, `Like.of(plan)`: a control that tells which units from how many.

    With the budget of that plan every block keeps exactly as many units as there. `Random()` with it is the control
    that Blalock 2020 calls random pruning with the same layerwise proportions. Under another budget a block keeps its
    share to a power, one power for all. Scores play no part.

    Attributes:
        shares: block name and the fraction of it that is kept; blocks that are not named keep the mean of those that
            are.

    Cost: about 50 evaluations of the budget.
    """

    shares: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        wrong = [f"{name}: {share!r}" for name, share in self.shares if not 0 < share <= 1]
        if wrong:
            raise IncompatibleError(f"shares must be in (0, 1], got {', '.join(wrong)}. Like.of(plan) reads them.")

    @classmethod
    def of(cls, plan: PruningPlan) -> Like:
        """The shares of `plan`."""
        return cls(shares=tuple((block.name, plan.width(block.name) / block.units) for block in plan.blocks))

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        named = dict(self.shares)
        other = sum(named.values()) / len(named) if named else 0.5
        shares = {name: named.get(name, other) for name in limits.blocks}

        def at(x: float) -> dict[str, int]:
            # x = 1/2, which is tried first, stands for the shares themselves, 1 for everything
            return {n: limits.round(n, units * _power(shares[n], x)) for n, units in limits.blocks.items()}

        def most_rounded_off(now: Mapping[str, int]) -> list[str]:
            return sorted(now, key=lambda name: (now[name] / limits.blocks[name] / shares[name], name))

        return fill(largest_share(at, limits), limits, most_rounded_off)

    @classmethod
    def examples(cls) -> list[Like]:
        """Without a plan, and with one."""
        return [cls(), cls(shares=(("0", 0.75), ("3", 0.25)))]


def _power(share: float, x: float) -> float:
    """`share ** t`, t falling from infinity at x = 0 through 1 at 1/2 to 0 at 1."""
    return 0.0 if x <= 0 else share ** ((1 - x) / x)
