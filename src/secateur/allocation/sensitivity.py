"""Sensitivity: every block is cut until it alone would cost the same quality."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from secateur.allocation.base import allocation, fill, largest_share
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scores

#: Share of the largest loss by which keeping less is worse where no loss was measured, so that all shares differ.
_SLOPE = 1e-6


@allocation("sensitivity")
@dataclass(frozen=True, kw_only=True)
class Sensitivity(Allocation):
    """Every block keeps the least share at which it alone loses no more than is tolerated; one tolerance for all.

    That is how Han 2015 reads thresholds off curves of sensitivity (*Learning both Weights and Connections*, NIPS
    2015; arXiv:1506.02626); the tolerance is the least that fits the budget. `secateur.sensitivity(...)` measures
    curves, and its `allocation()` is this. Scores play no part; blocks without a curve lose in proportion to what goes.

    Attributes:
        curves: block name and points `(share that stays, loss of quality)`; between them lines are drawn, and a loss
            that falls as more goes is taken for the largest before.

    Cost: about 50 evaluations of the budget.
    """

    curves: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = ()

    def __post_init__(self) -> None:
        wrong = [name for name, points in self.curves if not points or any(not 0 <= x <= 1 for x, _ in points)]
        if wrong:
            raise IncompatibleError(
                f"curves must hold points (share in [0, 1], loss), got others for {', '.join(wrong)}. "
                "secateur.sensitivity(...).allocation() makes them."
            )

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        known = dict(self.curves)
        largest = max((loss for points in known.values() for _, loss in points), default=1.0)
        largest = largest if largest > 0 else 1.0
        lines = {name: _line(known.get(name, ((0.0, largest),)), largest) for name in limits.blocks}
        most = max(float(losses[-1]) for _, losses in lines.values())

        def at(x: float) -> dict[str, int]:
            tolerated = (1 - x) * most
            return {n: limits.round(n, u * _share(*lines[n], tolerated)) for n, u in limits.blocks.items()}

        def suffers_most(now: Mapping[str, int]) -> list[str]:
            return sorted(now, key=lambda name: (-_loss(*lines[name], now[name] / limits.blocks[name]), name))

        return fill(largest_share(at, limits), limits, suffers_most)

    @classmethod
    def examples(cls) -> list[Sensitivity]:
        """Without curves, and with one."""
        return [cls(), cls(curves=(("0", ((0.75, 0.01), (0.5, 0.2), (0.25, 0.1))),))]


def _line(points: tuple[tuple[float, float], ...], largest: float) -> tuple[np.ndarray, np.ndarray]:
    """Shares that go, rising from 0 to 1, and losses, rising strictly from 0."""
    ordered = sorted({1.0 - share: loss for share, loss in points}.items())
    gone = [0.0, *(x for x, _ in ordered if x > 0)]
    losses = list(accumulate([0.0, *(loss for x, loss in ordered if x > 0)], max))
    if gone[-1] < 1.0:  # beyond the last point the last slope goes on
        slope = (losses[-1] - losses[-2]) / (gone[-1] - gone[-2]) if len(gone) > 1 else 0.0
        losses.append(losses[-1] + slope * (1.0 - gone[-1]))
        gone.append(1.0)
    x = np.array(gone)
    return x, np.array(losses) + _SLOPE * largest * x


def _share(gone: np.ndarray, losses: np.ndarray, tolerated: float) -> float:
    return 1.0 - float(np.interp(tolerated, losses, gone))


def _loss(gone: np.ndarray, losses: np.ndarray, share: float) -> float:
    return float(np.interp(1.0 - share, gone, losses))
