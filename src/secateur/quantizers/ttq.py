"""Trained ternary quantization: two scales that are learned apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.quantizers.base import quantizer, stays


@quantizer("ttq")
@dataclass(frozen=True, kw_only=True)
class TTQ(Quantizer):
    """-n, 0 or p: zero up to a share of the largest magnitude, and a scale for either sign.

    Paper:   Zhu, Han, Mao and Dally, *Trained Ternary Quantization*, ICLR 2017, Eq. 6 and 9. arXiv:1612.01064
    Formula: D = threshold * max |w|; value = p where w > D, -n where w < -D, else 0; when trained, dL/dp = sum of dL/dw
             over w > D, dL/dn likewise
    Shapes:  weight (*) -> codes (*), levels (3,): 0, -n, p
    Cost:    O(n) for n weights
    Differs: p and n start at the mean magnitudes beyond the threshold. Training moves them and leaves codes where they
             are; the paper trains weights behind them as well

    Attributes:
        threshold: as a share of the largest magnitude.

    Example:
        >>> import torch
        >>> TTQ().quantize(torch.tensor([-1.0, -3.0, 0.1, 4.0])).levels
        tensor([ 0., -2.,  4.])
    """

    threshold: float = 0.05
    paper: ClassVar[Paper | None] = Paper("zhu2017ttq")

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise IncompatibleError(
                f"threshold must lie in [0, 1), got threshold={self.threshold!r}. The paper has 0.05."
            )

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Two scales."""
        w = torch.where(stays(weight, keep), weight.detach().double(), 0.0)
        limit = self.threshold * (w.abs().max() if w.numel() else 0.0)
        up, down = w > limit, w < -limit
        plus, minus = ((w * side).sum() / side.sum().clamp(min=1) for side in (up, down))
        codes = torch.where(up, 2, torch.where(down, 1, 0))
        return Quantized(codes=codes.to(torch.int32), levels=torch.stack([torch.zeros_like(plus), minus, plus]).float())
