"""Quantized: a tensor as whole numbers and what they stand for, as data; quantizers make it, the coder writes it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from secateur.core.errors import IncompatibleError


@dataclass(frozen=True, slots=True, eq=False)
class Quantized:
    """A tensor as codes, in one of two forms: a codebook, or a scale and a zero point.

    A zero stays a zero: with a codebook, code 0 of a pruned tensor stands for 0.0 where `levels[0] == 0`; with a
    scale, code `zero` stands for exactly 0.0.

    Attributes:
        codes: int32, in the shape of the tensor.
        levels: codebook `(k,)` float32: the value is `levels[code]`; None for the other form.
        scale: float32 `(1,)`, or `(n,)` one for each entry of `dim`: the value is `(code - zero) * scale`.
        zero: int32, shaped like `scale`; the code that stands for 0.0.
        dim: the dim along which scales differ.
    """

    codes: Tensor
    levels: Tensor | None = None
    scale: Tensor | None = None
    zero: Tensor | None = None
    dim: int = 0

    def __post_init__(self) -> None:
        if (self.levels is None) == (self.scale is None) or (self.scale is None) != (self.zero is None):
            raise IncompatibleError(
                "Quantized takes either levels (a codebook) or scale and zero (an even grid). Pass one form."
            )

    def values(self) -> Tensor:
        """The tensor that the codes stand for, float32."""
        if self.levels is not None:
            return self.levels[self.codes.long()]
        assert self.scale is not None
        assert self.zero is not None
        shape = [1] * self.codes.ndim
        if self.scale.numel() > 1:
            shape[self.dim] = -1
        return (self.codes - self.zero.view(shape)).to(torch.float32) * self.scale.view(shape)
