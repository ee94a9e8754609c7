"""The registry of schedules, and what those of several rounds share."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.core.contracts import Schedule
from secateur.core.errors import IncompatibleError
from secateur.core.registry import Registry

SCHEDULES: Registry[type[Schedule]] = Registry("schedule")
schedule = SCHEDULES


@dataclass(frozen=True, kw_only=True)
class Stepped(Schedule):
    """A schedule of so many rounds.

    Attributes:
        steps: rounds of pruning.
    """

    steps: int = 1

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise IncompatibleError(
                f"steps must be 1 or more, got steps={self.steps!r}. It is the number of rounds of pruning."
            )

    @property
    def rounds(self) -> int:
        """`steps`."""
        return self.steps
