"""Trained quantization: weights share the centres of clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.paper import Paper
from secateur.core.quantized import Quantized
from secateur.quantizers.base import Start, check_count, check_start, clusters, on_levels, quantizer, stays


@quantizer("kmeans")
@dataclass(frozen=True, kw_only=True)
class KMeans(Quantizer):
    """The centres of clusters of the weights that stay.

    Paper:   Han, Mao and Dally, *Deep Compression*, ICLR 2016, Eq. 2 and 3. arXiv:1510.00149
    Formula: levels C = argmin sum_k sum_{w in cluster k} (w - C_k)^2; when trained,
             dL/dC_k = sum of dL/dw over cluster k
    Shapes:  weight (*) -> codes (*), levels (levels,), with a 0 in front if something was pruned
    Cost:    O(n log n) for n weights, and O(levels log n) for each round of Lloyd's algorithm
    Differs: an empty cluster moves to the weight that is furthest from its level; the paper does not say what it does

    Attributes:
        bits: for the code of a weight that stays; 2 ** bits levels.
        levels: how many there are, if not 2 ** bits.
        start: "linear" spreads the first centres over the range, the paper's best; "density" over the weights in order;
            "random" draws weights (Forgy).
        seed: for "random".

    Example:
        >>> import torch
        >>> KMeans(bits=1).quantize(torch.tensor([-1.0, 0.0, 0.8, 1.2])).levels
        tensor([ 0., -1.,  1.])
    """

    bits: int = 5
    levels: int | None = None
    start: Start = "linear"
    seed: int = 0
    paper: ClassVar[Paper | None] = Paper("han2016")

    def __post_init__(self) -> None:
        check_count("bits", self.bits, 1, 16)
        check_count("levels", 2**self.bits if self.levels is None else self.levels, 1)
        check_start(self.start)

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Each weight that stays gets the nearest centre."""
        kept = stays(weight, keep)
        count = 2**self.bits if self.levels is None else self.levels
        return on_levels(weight, kept, clusters(weight.detach()[kept], count, self.start, self.seed))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """From every start."""
        return [cls(bits=3), cls(levels=5, start="density"), cls(bits=2, start="random", seed=1)]
