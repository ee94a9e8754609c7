"""An even grid: what integer arithmetic runs on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.core.ranges import Range, check_range, find_range, grid, on_grid
from secateur.quantizers.base import check_count, quantizer, stays


@quantizer("uniform")
@dataclass(frozen=True, kw_only=True)
class Uniform(Quantizer):
    """An even grid with 0 on it, one for the tensor or one for every output channel.

    Paper:   Jacob et al., *Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
             Inference*, CVPR 2018, Eq. 1. arXiv:1712.05877
    Formula: value = scale * (code - zero)
    Shapes:  weight (n, *) -> codes (n, *), scale and zero (1,) or (n,)
    Cost:    O(n) for n weights; for ranges "mse" and "kl" about 46 times that
    Differs: symmetric codes leave out the lowest, -2 ** (bits - 1), so that every value has its opposite

    Attributes:
        bits: of a code, 2 to 8.
        symmetric: as many codes below 0 as above; else the grid follows the range.
        per: a grid for the whole "tensor", or for every "channel", an entry of the first dim.
        range: what the grid covers: "minmax" everything, "percentile" all but so many of the largest, "mse" what gives
            the least squared error, "kl" what keeps most of the distribution.
        percentile: for that range.

    Example:
        >>> import torch
        >>> Uniform(bits=3).quantize(torch.tensor([[0.3, -0.1], [6.0, 2.1]])).values()
        tensor([[ 0.3000, -0.1000],
                [ 6.0000,  2.0000]])
    """

    bits: int = 8
    symmetric: bool = True
    per: Literal["tensor", "channel"] = "channel"
    range: Range = "minmax"
    percentile: float = 99.9
    paper: ClassVar[Paper | None] = Paper("jacob2018")

    def __post_init__(self) -> None:
        check_count("bits", self.bits, 2, 8)
        check_range(self.range)
        if self.per not in ("tensor", "channel"):
            raise IncompatibleError(f"per must be 'tensor' or 'channel', got per={self.per!r}.")
        if not 50 < self.percentile <= 100:
            raise IncompatibleError(f"percentile must lie in (50, 100], got percentile={self.percentile!r}.")

    @property
    def bounds(self) -> tuple[int, int]:
        """-3..3 or 0..7 for three bits."""
        half = 2 ** (self.bits - 1)
        return (1 - half, half - 1) if self.symmetric else (0, 2 * half - 1)

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """The nearest point of the grid."""
        w = torch.where(stays(weight, keep), weight.detach(), 0)
        rows = w.flatten(1) if self.per == "channel" and w.ndim > 1 else w.reshape(1, -1)
        low, high = self._ranges(rows)
        scale, zero = grid(low, high, self.bounds, symmetric=self.symmetric)
        shape = (-1, *[1] * (w.ndim - 1)) if len(rows) > 1 else (1,) * w.ndim
        return Quantized(
            codes=on_grid(w, scale.view(shape), zero.view(shape), self.bounds), scale=scale, zero=zero, dim=0
        )

    def _ranges(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        if self.range in ("minmax", "mse"):
            return find_range(rows, self.range, codes=self.bounds, symmetric=self.symmetric)
        # Pruned entries are 0, which every grid has; they must not fill up a percentile or a histogram.
        found = [self._range(row[row != 0]) for row in rows]
        return torch.stack([low for low, _ in found]), torch.stack([high for _, high in found])

    def _range(self, values: Tensor) -> tuple[Tensor, Tensor]:
        if not values.numel():
            return values.new_zeros(()).double(), values.new_zeros(()).double()
        low, high = find_range(
            values[None], self.range, codes=self.bounds, symmetric=self.symmetric, percentile=self.percentile
        )
        return low[0], high[0]

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Every way to choose the range, and both kinds of grid."""
        return [
            cls(),
            cls(bits=4, symmetric=False, per="tensor"),
            cls(bits=3, range="percentile", percentile=95.0),
            cls(bits=4, range="mse"),
            cls(bits=4, per="tensor", range="kl"),
        ]
