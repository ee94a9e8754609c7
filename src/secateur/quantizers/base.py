"""The registry of quantizers, and what they share: which entries stay, codes of the nearest level, exact clusters."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.errors import IncompatibleError
from secateur.core.quantized import Quantized
from secateur.core.registry import Registry
from secateur.core.rng import generator

QUANTIZERS: Registry[type[Quantizer]] = Registry("quantizer")
quantizer = QUANTIZERS

#: Where clusters start: evenly over the range, evenly over the values in order, or at values drawn by chance.
Start = Literal["linear", "density", "random"]
STARTS: tuple[Start, ...] = ("linear", "density", "random")
#: Rounds of Lloyd's algorithm at most; on weights it mostly stands still long before.
_ROUNDS = 1000


def stays(weight: Tensor, keep: Tensor | None) -> Tensor:
    """Boolean, in the shape of `weight`: entries that have a say in the levels.

    Raises:
        IncompatibleError: `keep` has another shape, or `weight` holds no floating-point numbers, or not finite ones.
    """
    if not weight.is_floating_point() or not bool(torch.isfinite(weight).all()):
        raise IncompatibleError(
            f"a weight must hold finite floating-point numbers, got one of {weight.dtype}. Leave it out, or mend it."
        )
    if keep is None:
        return weight.detach() != 0
    if keep.shape != weight.shape:
        raise IncompatibleError(
            f"keep must have the shape of the weight, {tuple(weight.shape)}, got {tuple(keep.shape)}. Pass its mask."
        )
    return keep.to(device=weight.device, dtype=torch.bool)


def on_levels(weight: Tensor, kept: Tensor, levels: Tensor) -> Quantized:
    """Every entry that stays at its nearest level, all others at 0.

    Args:
        weight: the entries.
        kept: boolean, which of them stay.
        levels: in any order; of two equally near ones the lower is taken.

    Returns:
        Levels in rising order, without any that occur twice, but with 0 in front if it is one or something goes.
    """
    levels = levels.detach().to(torch.float32).unique()
    exact = levels.double()
    codes = torch.bucketize(weight.detach().double().contiguous(), (exact[1:] + exact[:-1]) / 2)
    if not bool(kept.all()) or not len(levels) or bool((levels == 0).any()):
        place = torch.cumsum(levels != 0, 0)  # the place of each level behind the 0
        place[levels == 0] = 0
        codes = torch.where(kept, place[codes] if len(levels) else 0, 0)
        levels = torch.cat([levels.new_zeros(1), levels[levels != 0]])
    return Quantized(codes=codes.to(torch.int32), levels=levels)


def clusters(values: Tensor, count: int, start: Start, seed: int = 0) -> Tensor:
    """Centres of `count` clusters of numbers by Lloyd's algorithm, float64, in rising order.

    In one dimension clusters are intervals, so each round is a search for `count - 1` boundaries among sorted values
    and differences of their cumulated sums. A cluster that becomes empty moves to the value that lies furthest from its
    centre.

    Args:
        values: one-dimensional.
        count: of clusters, at least 1; fewer come out if there are fewer different values.
        start: where centres begin.
        seed: for "random".
    """
    ordered = values.detach().double().sort().values
    different: Tensor = ordered.unique()
    if len(different) <= count:
        return different
    sums = torch.cat([ordered.new_zeros(1), ordered.cumsum(0)])
    centres = _first(ordered, different, count, start, seed)
    ends = None
    for _ in range(_ROUNDS):
        found = torch.searchsorted(ordered, (centres[1:] + centres[:-1]) / 2, right=True)
        if ends is not None and torch.equal(found, ends):
            break
        ends = found
        bounds = torch.cat([ends.new_zeros(1), ends, ends.new_tensor([len(ordered)])])
        sizes = bounds.diff()
        means = (sums[bounds[1:]] - sums[bounds[:-1]]) / sizes.clamp(min=1)
        # A mean of equal values must be that value, whatever the rounding of sums.
        first, last = ordered[bounds[:-1].clamp(max=len(ordered) - 1)], ordered[(bounds[1:] - 1).clamp(min=0)]
        centres = torch.where(
            sizes > 0, torch.clamp(means, torch.minimum(first, last), torch.maximum(first, last)), centres
        )
        if bool((sizes == 0).any()):
            centres = _refilled(ordered, centres, sizes)
    return centres


def _first(ordered: Tensor, different: Tensor, count: int, start: Start, seed: int) -> Tensor:
    if start == "linear":
        steps = torch.arange(count, dtype=torch.float64, device=ordered.device) / max(1, count - 1)
        low, high = ordered[0], ordered[-1]
        return low + (high - low) * steps if count > 1 else (low + high)[None] / 2
    if start == "density":
        at = (torch.arange(count, dtype=torch.float64) + 0.5) / count * len(ordered)
        return ordered[at.long().to(ordered.device)]
    picked = torch.randperm(len(different), generator=generator(seed, "clusters"))[:count]
    return different[picked.to(ordered.device)].sort().values


def _refilled(ordered: Tensor, centres: Tensor, sizes: Tensor) -> Tensor:
    """Empty clusters moved, one after the other, to the value that is furthest from its centre."""
    full = centres[sizes > 0].sort().values
    for _ in range(int((sizes == 0).sum())):
        ends = torch.searchsorted(ordered, (full[1:] + full[:-1]) / 2, right=True)
        bounds = torch.cat([ends.new_zeros(1), ends, ends.new_tensor([len(ordered)])])
        # The furthest value of an interval is its first or its last.
        first, last = ordered[bounds[:-1].clamp(max=len(ordered) - 1)], ordered[(bounds[1:] - 1).clamp(min=0)]
        outermost = torch.where(full - first > last - full, first, last)
        away = torch.where(bounds.diff() > 0, (outermost - full).abs(), -1.0)
        full = torch.cat([full, outermost[away.argmax()][None]]).sort().values
    return full


def check_count(name: str, value: int, lowest: int, highest: int | None = None) -> None:
    """Make sure that a setting is a whole number within bounds.

    Raises:
        IncompatibleError: it is not.
    """
    if not isinstance(value, int) or value < lowest or (highest is not None and value > highest):
        allowed = f"{lowest} or more" if highest is None else f"a whole number from {lowest} to {highest}"
        raise IncompatibleError(f"{name} must be {allowed}, got {name}={value!r}.")


def check_start(start: str) -> None:
    """Make sure that clusters can start there.

    Raises:
        IncompatibleError: they cannot.
    """
    if start not in STARTS:
        raise IncompatibleError(f"start must be one of {', '.join(STARTS)}, got start={start!r}. Name one of these.")
