"""HashedNets: chance decides which weights are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.core.rng import generator
from secateur.quantizers.base import quantizer, stays


@quantizer("hashed")
@dataclass(frozen=True, kw_only=True)
class Hashed(Quantizer):
    """Every weight is one of fewer parameters, drawn by a hash of its place, times a sign drawn by another.

    Which parameter a weight is need not be stored: seed and shape tell. So only the parameters count.

    Paper:   Chen, Wilson, Tyree, Weinberger and Chen, *Compressing Neural Networks with the Hashing Trick*, ICML 2015,
             Eq. 3, 7 and 12. arXiv:1504.04788
    Formula: V_ij = xi(i,j) w_h(i,j); w_k starts at the mean of xi V over its weights, the nearest there is; when
             trained, dL/dw_k = sum of xi dL/dV over its weights
    Shapes:  weight (*) -> codes (*), levels (2 buckets,): w_0, -w_0, w_1, .., with a 0 in front if something was pruned
    Cost:    O(n) for n weights
    Differs: drawn by a seeded generator, not by xxHash. The paper trains from scratch; start from any weight here

    Attributes:
        keep: parameters that remain, as a fraction of the weights.
        seed: of both hashes.

    Example:
        >>> import torch
        >>> Hashed(keep=0.25).quantize(torch.ones(4, 8)).levels.numel()
        16
    """

    keep: float = 0.125
    seed: int = 0
    paper: ClassVar[Paper | None] = Paper("chen2015")
    pairs: ClassVar[bool] = True
    monotone: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise IncompatibleError(f"keep must lie in (0, 1], got keep={self.keep!r}. It is what remains.")

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """The mean of each bucket, signs taken off."""
        kept = stays(weight, keep)
        buckets = max(1, round(self.keep * weight.numel()))
        draw = generator(self.seed, "hashed", str(tuple(weight.shape)))
        place = torch.randint(buckets, weight.shape, generator=draw).to(weight.device)
        down = torch.randint(2, weight.shape, generator=draw).to(weight.device)
        signed = torch.where(kept, weight.detach().double() * (1 - 2 * down), 0.0)
        sums = signed.new_zeros(buckets).index_add_(0, place.flatten(), signed.flatten())
        sizes = torch.bincount(place.flatten(), kept.flatten().double(), minlength=buckets)
        means = sums / sizes.clamp(min=1)
        levels, codes = torch.stack([means, -means], 1).flatten(), 2 * place + down
        if not bool(kept.all()):
            levels, codes = torch.cat([levels.new_zeros(1), levels]), torch.where(kept, codes + 1, 0)
        return Quantized(codes=codes.to(torch.int32), levels=levels.float() + 0.0)

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """An eighth and a half."""
        return [cls(), cls(keep=0.5, seed=1)]
