"""Which part of the number line an even grid should cover: everything, or less, so that its steps are finer."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from secateur.core.errors import IncompatibleError

#: How a range is chosen.
Range = Literal["minmax", "percentile", "mse", "kl"]
RANGES: tuple[Range, ...] = ("minmax", "percentile", "mse", "kl")
#: Shares of the full range that "mse" and "kl" try, the full range first, so that it wins a tie.
_SHARES = tuple(1 - i / 50 for i in range(46))
_BINS = 2048


def check_range(how: str) -> None:
    """Make sure that there is such a way.

    Raises:
        IncompatibleError: there is not.
    """
    if how not in RANGES:
        raise IncompatibleError(f"range must be one of {', '.join(RANGES)}, got range={how!r}. Name one of these.")


def grid(low: Tensor, high: Tensor, codes: tuple[int, int], *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Scale and zero point of the grid that covers low..high, each `(n,)`; 0 is always on it.

    Formula: symmetric: scale = max(-low, high) / largest code, zero = 0;
             else scale = (high - low) / (largest - smallest code), zero = smallest code - round(low / scale)

    Args:
        low: `(n,)`.
        high: `(n,)`.
        codes: smallest and largest code.
        symmetric: the grid looks the same from both sides of 0.

    Returns:
        Scale float32 and zero int32; the scale of an empty range is 1.
    """
    low, high = low.double().clamp(max=0), high.double().clamp(min=0)
    scale = torch.maximum(-low, high) / codes[1] if symmetric else (high - low) / (codes[1] - codes[0])
    scale = scale.float()
    scale = torch.where(scale > 0, scale, 1.0)
    if symmetric:
        return scale, torch.zeros_like(scale, dtype=torch.int32)
    return scale, (codes[0] - torch.round(low / scale.double())).clamp(*codes).to(torch.int32)


def on_grid(x: Tensor, scale: Tensor, zero: Tensor, codes: tuple[int, int]) -> Tensor:
    """The codes of `x`, int32; scale and zero broadcast against it. Halves go to the even code."""
    return torch.round(x.double() / scale.double()).add(zero).clamp(*codes).to(torch.int32)


def find_range(
    x: Tensor, how: Range, *, codes: tuple[int, int], symmetric: bool, percentile: float = 99.9
) -> tuple[Tensor, Tensor]:
    """The range that a grid for each row of `x` should cover.

    "minmax" covers everything. "percentile" leaves out so many of the largest (and, unless symmetric, smallest) values.
    "mse" shrinks the full range to the share whose grid has the least squared error. "kl" shrinks it to the share whose
    grid loses least of the distribution, by the divergence of a histogram from what the grid makes of it.

    Args:
        x: `(n, values)`.
        how: one of these.
        codes: smallest and largest code.
        symmetric: the grid looks the same from both sides of 0.
        percentile: for "percentile".

    Returns:
        Two tensors `(n,)`, low <= 0 <= high.
    """
    check_range(how)
    x = x.double()
    low, high = x.amin(1).clamp(max=0), x.amax(1).clamp(min=0)
    if how == "minmax":
        return low, high
    if how == "percentile":
        return _percentile(x, percentile / 100, symmetric=symmetric)
    cost = _squared_error if how == "mse" else _divergence
    best, least = torch.ones_like(high), torch.full_like(high, torch.inf)
    for share in _SHARES:
        scale, zero = grid(share * low, share * high, codes, symmetric=symmetric)
        found = cost(x, scale[:, None], zero[:, None], codes)
        better = found < least * (1 - 1e-9)
        best, least = torch.where(better, share, best), torch.where(better, found, least)
    return best * low, best * high


def _percentile(x: Tensor, share: float, *, symmetric: bool) -> tuple[Tensor, Tensor]:
    """Values that occur, not ones between two, so that what was clipped is not clipped again."""
    if symmetric:
        high = _order(x.abs(), share)
        return -high, high
    return -_order(-x, share).clamp(min=0), _order(x, share).clamp(min=0)


def _order(x: Tensor, share: float) -> Tensor:
    count = x.shape[1]
    return x.kthvalue(min(count, int(share * (count - 1)) + 2), 1).values  # rank rounded up, counted from 1


def _squared_error(x: Tensor, scale: Tensor, zero: Tensor, codes: tuple[int, int]) -> Tensor:
    return ((on_grid(x, scale, zero, codes) - zero) * scale.double() - x).square().sum(1)


def _divergence(x: Tensor, scale: Tensor, zero: Tensor, codes: tuple[int, int]) -> Tensor:
    """KL(values || values on the grid, each code's mass spread evenly over the bins of it that are in use)."""
    return torch.stack([_row_divergence(*row, codes) for row in zip(x, scale, zero, strict=True)])


def _row_divergence(x: Tensor, scale: Tensor, zero: Tensor, codes: tuple[int, int]) -> Tensor:
    low, high = float(x.min().clamp(max=0)), float(x.max().clamp(min=0))
    width = (high - low) / _BINS or 1.0
    bins = ((x - low) / width).long().clamp(0, _BINS - 1)
    mass = torch.bincount(bins, minlength=_BINS).double()
    centres = low + (torch.arange(_BINS, device=x.device).double() + 0.5) * width
    first, last = ((c - float(zero)) * float(scale) for c in codes)
    # The reference puts what is clipped into the outermost bins that are not; the grid does not see it there.
    inside = (centres >= first - width) & (centres <= last + width)
    edges = inside.nonzero().flatten()
    if not len(edges):
        return x.new_tensor(torch.inf)
    reference = torch.zeros_like(mass).index_add_(
        0, torch.arange(_BINS, device=x.device).clamp(int(edges[0]), int(edges[-1])), mass
    )
    code = on_grid(centres, scale, zero, codes).long() - codes[0]
    seen = torch.where(inside, mass, 0.0)
    used = (reference > 0).double()
    size = codes[1] - codes[0] + 1
    sums = torch.zeros(size, dtype=torch.float64, device=x.device).index_add_(0, code, seen)
    counts = torch.zeros(size, dtype=torch.float64, device=x.device).index_add_(0, code, used)
    spread = used * (sums / counts.clamp(min=1))[code]
    p, q = reference / reference.sum(), spread / spread.sum().clamp(min=1e-300)
    positive = p > 0
    return (p[positive] * (p[positive] / q[positive].clamp(min=1e-12)).log()).sum().clamp(min=0)
