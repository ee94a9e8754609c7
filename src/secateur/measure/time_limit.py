"""How much of a network may stay so that it keeps to a time limit: found by measuring, since no count tells it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from torch import nn

from secateur.core.budget import TimeLimit
from secateur.core.errors import BudgetError
from secateur.core.report import InTime, Latency
from secateur.measure.latency import latencies

#: A share that nothing can be cut to: what is asked for first, to be told what can be reached.
_NOTHING = 1e-9
#: Shares that are looked at before it is said that nothing is fast enough.
_PROBES = 7


class Clock(Protocol):
    """What times networks in turn, as `latencies` does."""

    def __call__(
        self, models: Mapping[str, nn.Module], example_inputs: Any, *, runtime: str, threads: int
    ) -> Mapping[str, Latency]:
        """Times by name."""


def within(
    limit: TimeLimit,
    make: Callable[[float], nn.Module],
    dense: nn.Module,
    example_inputs: Any,
    *,
    clock: Clock | None = None,
    rounds: int = 7,
) -> InTime:
    """The largest share of the multiply-accumulates, among those tried, whose network was measured to keep to `limit`.

    Bisection between the narrowest network and the dense one. Each candidate is timed in turn with the dense network,
    and it is the ratio that counts, so that a machine that slows down in between does no harm. Times need not grow with
    the share: what is returned was itself measured to fit, and if the narrowest network does not, others are tried
    before the search gives up.

    Args:
        limit: how long a forward pass may take.
        make: the network at a share of the multiply-accumulates; it raises a `BudgetError` that names what is
            `reachable` where the share cannot be reached.
        dense: the network that is made smaller.
        example_inputs: what is timed.
        clock: what times; `latencies` by default.
        rounds: halvings of the range, which then is 1 / 2 ^ rounds of what it was.

    Returns:
        The share, and what was measured; share 1 if the dense network keeps to the limit.

    Raises:
        BudgetError: no network that was tried keeps to the limit; with the time of the fastest.
        UnsupportedError: no such runtime, or it is not installed.
    """
    times, least = clock or latencies, _least(make)

    def pair(keep: float) -> tuple[float, float]:
        both = {"dense": dense, "candidate": make(keep)}
        found = times(both, example_inputs, runtime=limit.runtime, threads=limit.threads)
        return found["candidate"].p50, found["dense"].p50

    narrow, whole = pair(least)
    most = limit.ms(whole)
    if whole <= most:
        return InTime(str(limit), most, 1.0, whole, whole, tried=1)

    def at(keep: float) -> float:
        candidate, beside = pair(keep)
        return candidate / beside * whole

    tried = {least: narrow}
    if narrow > most:
        tried |= {keep: at(keep) for keep in (least + (1 - least) * i / (_PROBES + 1) for i in range(1, _PROBES + 1))}
    low = max((keep for keep, ms in tried.items() if ms <= most), default=0.0)
    if not low:
        keep, fastest = min(tried.items(), key=lambda one: one[1])
        raise BudgetError(
            f"a time of {limit} cannot be met: the fastest of {len(tried)} networks, {keep:.3g} of the macs, took "
            f"{fastest:.3g} ms, the dense one {whole:.3g} ms. Ask for {fastest * 1.1:.3g} ms or more, freeze less, or "
            "choose another runtime."
        )
    high = min((keep for keep in tried if keep > low), default=1.0)
    for _ in range(rounds):
        middle = (low + high) / 2
        tried[middle] = at(middle)
        low, high = (middle, high) if tried[middle] <= most else (low, middle)
    return InTime(str(limit), most, low, tried[low], whole, tried=len(tried))


def remeasured(
    found: InTime, model: nn.Module, dense: nn.Module, example_inputs: Any, *, clock: Clock | None = None
) -> InTime:
    """With the time of the network in the end, beside the dense one as before."""
    limit, both = TimeLimit(found.asked), {"dense": dense, "candidate": model}
    times = (clock or latencies)(both, example_inputs, runtime=limit.runtime, threads=limit.threads)
    return replace(found, final=times["candidate"].p50 / times["dense"].p50 * found.dense)


def _least(make: Callable[[float], nn.Module]) -> float:
    """The smallest share that can be reached."""
    try:
        make(_NOTHING)
    except BudgetError as error:
        if error.reachable is None:
            raise
        return min(1.0, error.reachable * (1 + 1e-9))  # the figure itself may lie a rounding below what is needed
    return _NOTHING
