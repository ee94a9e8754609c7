"""Powers of two: multiplying is shifting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, log2
from typing import ClassVar, Self

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.quantizers.base import check_count, on_levels, quantizer, stays


@quantizer("log2")
@dataclass(frozen=True, kw_only=True)
class Log2(Quantizer):
    """Zero and powers of two of both signs, the largest set by the largest weight.

    Paper:   Zhou, Yao, Guo, Xu and Chen, *Incremental Network Quantization*, ICLR 2017, Eq. 1 to 4. arXiv:1702.03044
    Formula: n1 = floor(log2(4 max|w| / 3)), n2 = n1 + 1 - 2 ** (bits - 2); values 0 and +-2^n for n2 <= n <= n1
    Shapes:  weight (*) -> codes (*), levels (2 ** (bits - 1) + 1,): 0 first
    Cost:    O(n) for n weights
    Differs: all weights at once; the paper takes turns between quantizing a part of them and training the rest. Levels
             that are trained are no powers of two any more: train weights

    Attributes:
        bits: of a code, the zero among them.

    Example:
        >>> import torch
        >>> Log2(bits=4).quantize(torch.tensor([0.9, -0.3, 0.02])).values()
        tensor([ 1.0000, -0.2500,  0.0000])
    """

    bits: int = 5
    paper: ClassVar[Paper | None] = Paper("zhou2017inq")
    pairs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("bits", self.bits, 2, 8)

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """The nearest of them."""
        kept = stays(weight, keep)
        largest = float((weight.detach().double().abs() * kept).max()) if weight.numel() else 0.0
        levels = weight.new_zeros(1, dtype=torch.float64)
        if largest > 0:
            top = floor(log2(4 * largest / 3))
            powers = 2.0 ** torch.arange(top + 1 - 2 ** (self.bits - 2), top + 1, dtype=torch.float64)
            levels = torch.cat([levels, powers.to(levels), -powers.to(levels)])
        return on_levels(weight, kept, levels)

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Two widths."""
        return [cls(), cls(bits=3)]
