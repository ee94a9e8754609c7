"""A limit of time as a share of multiply-accumulates: try some, measure each, keep the largest that was fast enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from secateur.core.budget import Budget, TimeLimit
from secateur.core.errors import BudgetError
from secateur.measure.latency import latencies

Timer = Callable[[Mapping[str, nn.Module]], Mapping[str, float]]
#: Networks that are measured; the share is then known to 1 / 2 ** ROUNDS of its range.
ROUNDS = 7
#: A share that no network meets, so that the error says which one would be met.
_NOTHING = 1e-9


def share_in_time(
    limit: TimeLimit,
    dense: nn.Module,
    example_inputs: Any,
    make: Callable[[float], nn.Module],
    *,
    timer: Timer | None = None,
) -> tuple[Budget, float]:
    """The largest share of multiply-accumulates that was measured to stay within a limit of time, by bisection.

    Every candidate is timed in turn with the dense network, and its time is scaled by how the dense network did then
    beside how it did at first: a machine that is busy for a while does not spoil the comparison. Times do not always
    fall with the share, so a share is returned only if it was measured itself.

    Args:
        limit: milliseconds, and in which runtime.
        dense: the network as it is.
        example_inputs: what is timed, as a whole.
        make: a network for a share; raises BudgetError with `reachable` where that is too little.
        timer: milliseconds of networks by name; by default medians in the runtime, on one thread.

    Returns:
        The budget, and the milliseconds that were measured.

    Raises:
        BudgetError: the dense network is fast enough, or even the smallest one is not.
    """
    time = timer or _timer(limit, example_inputs)
    before = time({"dense": dense})["dense"]
    if before <= limit.ms:
        raise BudgetError(
            f"the network takes {before:.3g} ms in {limit.runtime} as it is, {limit.ms:g} ms are allowed: nothing has "
            "to go. Allow less, or write a share: '0.5 macs'."
        )

    def taken(share: float) -> float:
        found = time({"dense": dense, "candidate": make(share)})
        return found["candidate"] * before / found["dense"]

    low, high, best = _least(make), 1.0, None
    share = max(low, limit.ms / before)
    for _ in range(ROUNDS):
        ms = taken(share)
        if ms <= limit.ms:
            low, best = share, (share, ms)
        else:
            high = share
        share = (low + high) / 2
    if best is None:
        ms = taken(low)
        if ms > limit.ms:
            raise BudgetError(
                f"the smallest network that can be made takes {ms:.3g} ms in {limit.runtime}, {limit.ms:g} ms are "
                f"allowed; the whole one takes {before:.3g}. Allow more, or name another runtime, '8 ms in openvino'."
            )
        best = (low, ms)
    return Budget(best[0], "macs"), best[1]


def _least(make: Callable[[float], nn.Module]) -> float:
    """The least share that can be made."""
    try:
        make(_NOTHING)
    except BudgetError as error:
        if error.reachable is None:
            raise
        return min(1.0, error.reachable * (1 + 1e-6))
    return _NOTHING


def _timer(limit: TimeLimit, example_inputs: Any) -> Timer:
    def time(models: Mapping[str, nn.Module]) -> Mapping[str, float]:
        found = latencies(models, example_inputs, runtime=limit.runtime, seconds=0.3)
        return {name: each.p50 for name, each in found.items()}

    return time
