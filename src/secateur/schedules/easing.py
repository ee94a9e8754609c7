"""Easing: equal shares go at first, and ever smaller ones towards the end."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.core.errors import IncompatibleError
from secateur.schedules.base import Stepped, schedule


@schedule("easing")
@dataclass(frozen=True, kw_only=True)
class Easing(Stepped):
    """A geometric schedule that slows down: the last weights are the hard ones, and get the most time.

    Where little is to remain (a hundredth), a cubic schedule has removed nearly all of it before the network has got
    used to any of it; a geometric one removes the same share of what is left in every round, to the end.

    Formula: keep(t) = final ** (1 - (1 - t) ** power); power 1 is `geometric`

    Attributes:
        steps: rounds of pruning and training, where there are rounds.
        power: how much it slows down.

    Example:
        >>> Easing(power=2.0).keep(0.5, 0.0001)
        0.001
    """

    steps: int = 5
    power: float = 2.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.power < 1:
            raise IncompatibleError(f"power must be 1 or more, got power={self.power!r}. 1 does not slow down at all.")

    def keep(self, t: float, final: float) -> float:
        """From 1 down to `final`."""
        return float(final ** (1 - (1 - t) ** self.power))
