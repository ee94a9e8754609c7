"""May this criterion meet this granularity? Derived from the classes, no table."""

from __future__ import annotations

from secateur.core.contracts import Criterion, Granularity, ModuleCriterion, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.evidence import Weight
from secateur.granularity import GRANULARITIES


def check(criterion: Criterion, granularity: Granularity) -> None:
    """Raise if the two cannot meet.

    Raises:
        IncompatibleError: a criterion of whole channels was asked about something else, or one of whole modules was, or
            a criterion that scores in order needs more than weights.
    """
    if isinstance(criterion, ModuleCriterion) and not granularity.modular:
        raise IncompatibleError(
            f"{criterion!r} scores whole modules and cannot rank the units of {granularity!r}. "
            f"Use it with Layer() (allowed: {', '.join(granularities(criterion))}), or choose an element criterion "
            "such as magnitude or taylor."
        )
    if not _ranks(criterion, granularity):
        raise IncompatibleError(
            f"{criterion!r} scores whole channels and cannot rank the units of {granularity!r}. "
            f"Use it with Channel() (allowed: {', '.join(granularities(criterion))}), or choose an element criterion "
            "such as magnitude or taylor."
        )
    if criterion.in_order and set(criterion.needs) - {Weight}:
        others = ", ".join(need.__name__ for need in criterion.needs if need is not Weight)
        raise IncompatibleError(
            f"{criterion!r} scores in order and needs {others}. What is cut on the way can be taken out of weights "
            "only: drop those needs, or set in_order = False."
        )


def meets(criterion: Criterion, granularity: Granularity) -> bool:
    """Whether `check` lets the two pass."""
    try:
        check(criterion, granularity)
    except IncompatibleError:
        return False
    return True


def _ranks(criterion: Criterion, granularity: Granularity) -> bool:
    """Whether units are of the kind that the criterion scores: entries add up to anything, channels to themselves."""
    match criterion:
        case ModuleCriterion():
            return granularity.modular
        case UnitCriterion():
            return granularity.structured and not granularity.modular
        case _:
            return True


def granularities(criterion: Criterion) -> list[str]:
    """Names of the granularities that `criterion` can rank."""
    return [name for name, kind in GRANULARITIES.items() if _ranks(criterion, kind.examples()[0])]
