"""Binary weights: a sign, and one scale."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.quantizers.base import on_levels, quantizer, stays


@quantizer("bwn")
@dataclass(frozen=True, kw_only=True)
class BWN(Quantizer):
    """-a or a, the nearest of all such pairs.

    Paper:   Rastegari, Ordonez, Redmon and Farhadi, *XNOR-Net*, ECCV 2016, Eq. 5 and 6. arXiv:1603.05279
    Formula: a = mean |w|, which minimises ||W - a sign(W)||; value = a sign(w)
    Shapes:  weight (*) -> codes (*), levels (2,): -a, a, with a 0 in front if something was pruned
    Cost:    O(n) for n weights
    Differs: one scale for the tensor, where the paper has one for each filter; pruned weights stay 0

    Example:
        >>> import torch
        >>> BWN().quantize(torch.tensor([-1.0, 2.0, 3.0])).values()
        tensor([-2.,  2.,  2.])
    """

    paper: ClassVar[Paper | None] = Paper("rastegari2016")
    pairs: ClassVar[bool] = True

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Every weight that stays is its sign times the scale."""
        kept = stays(weight, keep)
        scale = weight.detach()[kept].double().abs().mean().nan_to_num(0.0)  # the mean of nothing is NaN
        return on_levels(weight, kept, torch.stack([-scale, scale]))
