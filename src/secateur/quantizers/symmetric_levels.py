"""A few magnitudes, each with both signs, and no level at zero."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor

from secateur.core.contracts import Quantizer
from secateur.core.quantized import Quantized
from secateur.quantizers.base import Start, check_count, check_start, clusters, on_levels, quantizer, stays


@quantizer("symmetric_levels")
@dataclass(frozen=True, kw_only=True)
class SymmetricLevels(Quantizer):
    """Clusters of the magnitudes of the weights that stay, each with both signs; none is zero.

    What a mask leaves has two humps beside zero. No level is spent between them, both signs share what is learned, and
    a coder can write the sign, which is a coin toss, apart from the magnitude, which is not.

    Formula: levels = -l_m .. -l_1, l_1 .. l_m with l = centres of clusters of |w|; when trained,
             dL/dl_i = sum over the cluster of sign(w) dL/dw
    Shapes:  weight (*) -> codes (*), levels (2 magnitudes,), with a 0 in front if something was pruned
    Cost:    O(n log n) for n weights
    Differs: published as such nowhere that we know of

    Attributes:
        magnitudes: how many; with the sign, log2(2 magnitudes) bits for each weight.
        start: where clusters begin, as for k-means.

    Example:
        >>> import torch
        >>> SymmetricLevels(magnitudes=2).quantize(torch.tensor([-1.0, 1.0, 0.0, 3.0, -3.0])).levels
        tensor([ 0., -3., -1.,  1.,  3.])
    """

    magnitudes: int = 4
    start: Start = "linear"
    pairs: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_count("magnitudes", self.magnitudes, 1)
        check_start(self.start)

    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Each weight that stays keeps its sign and gets the nearest magnitude."""
        kept = stays(weight, keep)
        found = clusters(weight.detach()[kept].abs(), self.magnitudes, self.start)
        return on_levels(weight, kept, torch.cat([-found, found]))

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """A few magnitudes and a single one."""
        return [cls(magnitudes=3), cls(magnitudes=1)]
