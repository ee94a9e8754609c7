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
        scale: float32 `(1,)`, or `(n,)` one for each entry of `dim`: the value is `(code - zero) * scale`. With `group`
            `(rows, groups)`, where a row is one of `codes.flatten(1)`, or all of a tensor with a single dim.
        zero: int32, shaped like `scale`; the code that stands for 0.0.
        dim: the dim along which scales differ.
        group: so many neighbours in a row share a scale, the last of a row may be fewer; 0 for no such groups.
    """

    codes: Tensor
    levels: Tensor | None = None
    scale: Tensor | None = None
    zero: Tensor | None = None
    dim: int = 0
    group: int = 0

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
        scale, zero = self.along(self.scale), self.along(self.zero)
        return (self.codes - zero).to(torch.float32) * scale

    def along(self, per: Tensor) -> Tensor:
        """Something shaped like `scale`, spread out so that it broadcasts against the codes."""
        if self.group:
            length = self.codes.numel() // len(per)
            return per.repeat_interleave(self.group, 1)[:, :length].reshape(self.codes.shape)
        shape = [1] * self.codes.ndim
        if per.numel() > 1:
            shape[self.dim] = -1
        return per.view(shape)
