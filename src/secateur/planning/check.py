"""May this criterion meet this granularity? Derived from the classes, no table."""

from __future__ import annotations

from secateur.core.contracts import Criterion, Granularity, ModuleCriterion, UnitCriterion
from secateur.core.errors import IncompatibleError


def check(criterion: Criterion, granularity: Granularity) -> None:
    """Raise if the two cannot meet.

    Raises:
        IncompatibleError: a criterion of whole channels was asked about single weights or whole modules, or one of
            whole modules about something else.
    """
    if isinstance(criterion, ModuleCriterion) and not granularity.modular:
        raise IncompatibleError(
            f"{criterion!r} scores whole modules and cannot rank the units of {granularity!r}. "
            "Use it with Layer(), or choose an element criterion such as magnitude or taylor."
        )
    if isinstance(criterion, UnitCriterion) and (granularity.modular or not granularity.structured):
        raise IncompatibleError(
            f"{criterion!r} scores whole channels and cannot rank the units of {granularity!r}. "
            "Use it with Channel(), or choose an element criterion such as magnitude or taylor."
        )
