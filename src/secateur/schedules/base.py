"""The registry of schedules and the check they share."""

from __future__ import annotations

from secateur.core.contracts import Schedule
from secateur.core.errors import IncompatibleError
from secateur.core.registry import Registry

SCHEDULES: Registry[type[Schedule]] = Registry("schedule")
schedule = SCHEDULES


def check_steps(steps: int) -> None:
    """A schedule has at least one round."""
    if steps < 1:
        raise IncompatibleError(f"steps must be 1 or more, got steps={steps!r}. It is the number of rounds of pruning.")
