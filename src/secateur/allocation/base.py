"""The registry of allocations, and the two searches that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from secateur.core.contracts import Allocation, Limits
from secateur.core.registry import Registry

ALLOCATIONS: Registry[type[Allocation]] = Registry("allocation")
allocation = ALLOCATIONS

_HALVINGS = 50


def largest_share(counts_at: Callable[[float], Mapping[str, int]], limits: Limits) -> dict[str, int]:
    """The counts at the largest share in [0, 1] that fits, by bisection; `counts_at` must never fall."""
    low, high = 0.0, 1.0
    if limits.fits(counts_at(high)):
        return dict(counts_at(high))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if limits.fits(counts_at(middle)) else (low, middle)
    return dict(counts_at(low))


def fill(
    counts: Mapping[str, int], limits: Limits, order: Callable[[Mapping[str, int]], Sequence[str]]
) -> dict[str, int]:
    """Spend what rounding left over: raise blocks by one allowed step, in `order`, until no step fits any more."""
    filled = dict(counts)
    while True:
        before = dict(filled)
        for block in order(before):
            raised = filled | {block: limits.next_up(block, filled[block])}
            if limits.fits(raised):
                filled = raised
        if filled == before:
            return filled
