"""One shot: all at once."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.core.contracts import Schedule
from secateur.schedules.base import schedule


@schedule("one_shot")
@dataclass(frozen=True, kw_only=True)
class OneShot(Schedule):
    """Prune once, at the start.

    Formula: keep(t) = final

    Example:
        >>> OneShot().keep(0.0, 0.3)
        0.3
    """

    @property
    def rounds(self) -> int:
        """One."""
        return 1

    def keep(self, t: float, final: float) -> float:
        """The final fraction, whenever asked."""
        return final
