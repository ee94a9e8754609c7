"""Ternary weights: minus, nothing, plus."""

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


@quantizer("twn")
@dataclass(frozen=True, kw_only=True)
class TWN(Quantizer):
    """-a, 0 or a: zero up to a threshold on the magnitude, and one scale for what is beyond.

    Paper:   Li, Zhang and Liu, *Ternary Weight Networks*, 2016. arXiv:1605.04711
    Formula: D = threshold * mean |w|; a = mean of |w| over |w| > D; value = a sign(w) where |w| > D, else 0
    Shapes:  weight (*) -> codes (*), levels (3,): 0, -a, a
    Cost:    O(n) for n weights
    Differs: the mean that sets the threshold is over weights that stay

    Attributes:
        threshold: in mean magnitudes.

    Example:
        >>> import torch
        >>> TWN().quantize(torch.tensor([-2.0, 0.1, 0.2, 2.0])).values()
        tensor([-2.,  0.,  0.,  2.])
    """

    threshold: float = 0.7
    paper: ClassVar[Paper | None] = Paper("li2016twn")
    pairs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.threshold < 1:
            raise IncompatibleError(
                f"threshold must lie in [0, 1), got threshold={self.threshold!r}. The paper has 0.7."
            )

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """One scale for both signs."""
        size = torch.where(stays(weight, keep), weight.detach().double().abs(), 0.0)
        far = size > self.threshold * size.sum() / (size > 0).sum().clamp(min=1)
        scale = (size * far).sum() / far.sum().clamp(min=1)
        codes = torch.where(far, torch.where(weight.detach() > 0, 2, 1), 0)
        zero = torch.zeros_like(scale)
        return Quantized(codes=codes.to(torch.int32), levels=torch.stack([zero, -scale, scale]).float())
