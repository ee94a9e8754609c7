"""Four bits for weights alone, with a scale for every few neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from secateur.core.contracts import Quantizer
from secateur.core.quantized import Quantized
from secateur.core.ranges import grid, on_grid
from secateur.quantizers.base import check_count, quantizer, stays


@quantizer("int4")
@dataclass(frozen=True, kw_only=True)
class Int4(Quantizer):
    """An even grid of 15 points for every group of neighbours in a row; activations stay floating point.

    Formula: value = scale_g * code, code in -7..7, scale_g = max |w| over group g / 7
    Shapes:  weight (n, *) -> codes (n, *), scale and zero (n, ceil(row / group)); a row is one of weight.flatten(1)
    Cost:    O(n) for n weights; 4 + 16 / group bits for each, if scales are stored in half precision
    Differs: common practice for language models; the code -8 is left out, so that every value has its opposite

    Attributes:
        group: neighbours that share a scale.

    Example:
        >>> import torch
        >>> Int4(group=2).quantize(torch.tensor([[7.0, 3.2, 0.07, 0.02]])).codes
        tensor([[7, 3, 7, 2]], dtype=torch.int32)
    """

    group: int = 32
    bounds: ClassVar[tuple[int, int]] = (-7, 7)

    def __post_init__(self) -> None:
        check_count("group", self.group, 1)

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """The nearest point of the group's grid."""
        kept = stays(weight, keep)
        w = torch.where(kept, weight.detach(), 0)
        rows = w.flatten(1) if w.ndim > 1 else w.reshape(1, -1)
        grouped = pad(rows, (0, -rows.shape[1] % self.group)).view(len(rows), -1, self.group)
        most = grouped.abs().amax(2).flatten()
        scale, zero = grid(-most, most, self.bounds, symmetric=True)
        shape = grouped.shape[:2]
        found = on_grid(grouped, scale.view(*shape, 1), zero.view(*shape, 1), self.bounds)
        codes = found.flatten(1)[:, : rows.shape[1]].reshape(w.shape)
        return Quantized(codes=codes, scale=scale.view(shape), zero=zero.view(shape), group=self.group)

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Groups that fill rows and groups that do not."""
        return [cls(), cls(group=4)]
