"""NetAdapt: the budget is reached in small steps, each taken in the block where it costs least quality."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from secateur.core.contracts import Evaluate, Limits, Search
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.search.base import options, project, search


@search("netadapt")
@dataclass(frozen=True, kw_only=True)
class NetAdapt(Search):
    """In every step each block is tried alone, cut far enough to save the step's share; the best of them is kept.

    Paper:   Yang et al., *NetAdapt: Platform-Aware Neural Network Adaptation for Mobile Applications*, ECCV 2018,
             Algorithm 1
    Formula: R_i = R_(i-1) - step; for every block the largest count at which the cost is at most R_i; of these the one
             of best quality goes on
    Cost:    steps * blocks evaluations; as many steps are taken as the evaluations allow, and `steps` at most
    Differs: steps are equal (the paper's shrink by a factor); no network is trained, neither shortly within a step nor
             at length in the end; cost is counted, not looked up in a table of latencies. Evaluations are of networks
             that are above the budget until the last step, so that only choices of the last step can win

    Attributes:
        steps: at most so many.

    Example:
        >>> NetAdapt(steps=8)
        NetAdapt(steps=8)
    """

    steps: int = 64
    paper: ClassVar[Paper | None] = Paper("yang2018")

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise IncompatibleError(f"steps must be 1 or more, got steps={self.steps!r}.")

    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """Step by step, until the budget is met or only one evaluation is left, which the scaled choice gets."""
        steps = max(1, min(self.steps, evaluations // len(limits.blocks)))
        now: dict[str, int] = {name: limits.round(name, units) for name, units in limits.blocks.items()}
        whole, widths, left = limits.spent(now), options(limits), evaluations
        for number in range(1, steps + 1):
            target = limits.allowed if number == steps else whole + (limits.allowed - whole) * number / steps
            while limits.spent(now) > target:
                tried: dict[str, float] = {}
                cuts = {name: _cut(limits, now, widths[name], name, target) for name in now}
                for name, count in cuts.items():
                    if count < now[name] and left > (0 if limits.fits({**now, name: count}) else 1):
                        tried[name] = evaluate({**now, name: count})
                        left -= 1
                if not tried:
                    break
                best = max(tried, key=lambda name: (tried[name], name))
                now[best] = cuts[best]
        if not limits.fits(now) or whole <= limits.allowed:
            evaluate(project({name: count / limits.blocks[name] for name, count in now.items()}, limits))

    @classmethod
    def examples(cls) -> list[NetAdapt]:
        """Few and many steps."""
        return [cls(steps=3), cls()]


def _cut(limits: Limits, now: Mapping[str, int], widths: Sequence[int], block: str, target: float) -> int:
    """The largest width of one block at which the cost is no more than `target`, or its smallest."""
    below = bisect(widths, False, key=lambda n: limits.spent({**now, block: n}) > target)
    return widths[max(below - 1, 0)]
