"""Which orders of steps make sense."""

from __future__ import annotations

from collections.abc import Sequence

from secateur.chain.base import Step
from secateur.core.errors import IncompatibleError


def check_order(steps: Sequence[Step]) -> None:
    """Every step must find what it can work on.

    Raises:
        IncompatibleError: there are no steps, or one undoes what an earlier one did; with the reason and what to do.
    """
    if not steps:
        raise IncompatibleError("a chain needs at least one step. Write for instance [Prune(), Quantize(), Pack()].")
    problems = []
    for number, later in enumerate(steps):
        for earlier in steps[:number]:
            why = _clash(earlier, later)
            if why:
                problems.append(f"{later} after {earlier}: {why}")
    if problems:
        raise IncompatibleError(
            f"the chain makes no sense. {'; '.join(problems)}. A sensible order: {_sensible(steps)}."
        )


def _clash(earlier: Step, later: Step) -> str:
    if earlier.stage is None:
        return ""
    if later.stage is None:
        return earlier.reason if earlier.stage >= _FILE else ""
    if later.stage < earlier.stage or (later.stage == earlier.stage and earlier.stage >= _ONCE):
        return earlier.reason
    return ""


def _sensible(steps: Sequence[Step]) -> str:
    ordered = sorted(steps, key=lambda s: _ONCE - 0.5 if s.stage is None else s.stage)
    return ", ".join(map(str, ordered))


#: From this stage on there can be one step only.
_ONCE = 3
#: From this stage on the result is a file.
_FILE = 4
