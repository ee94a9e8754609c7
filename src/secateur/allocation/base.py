"""The registry of allocations, and the searches that they share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

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


def best_of_all(values: Mapping[str, Tensor], limits: Limits) -> dict[str, int]:
    """The counts at which the best units of all blocks stay, as many as fit; equals are kept in equal shares."""
    names = sorted(limits.blocks)
    ranked = {n: torch.sort(values[n], descending=True).values for n in names}
    owner = _ranking([ranked[name] for name in names])

    def at(share: float) -> dict[str, int]:
        best = torch.bincount(owner[: int(share * len(owner) + 1e-9)], minlength=len(names)).tolist()
        return {name: limits.round(name, count) for name, count in zip(names, best, strict=True)}

    def best_next(now: Mapping[str, int]) -> list[str]:
        return sorted(now, key=lambda name: (-float(ranked[name][min(now[name], len(ranked[name]) - 1)]), name))

    return fill(largest_share(at, limits), limits, best_next)


def _ranking(ranked: list[Tensor]) -> Tensor:
    """The block number of every unit, best unit of the network first; ties go by place within the block."""
    place = torch.cat([torch.arange(len(values), dtype=torch.float64) / len(values) for values in ranked])
    owner = torch.cat([torch.full((len(values),), number) for number, values in enumerate(ranked)])
    by_place = torch.sort(place, stable=True).indices
    by_score = torch.sort(torch.cat(ranked)[by_place], descending=True, stable=True).indices
    return owner[by_place][by_score]
