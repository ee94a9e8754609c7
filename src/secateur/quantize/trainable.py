"""How a quantized weight is trained: its levels, what lies behind it (straight through), or the step of its grid.

Each is a parametrisation of the weight, behind the mask if there is one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Quantizer
from secateur.core.quantized import Quantized


class QuantizedWeight(nn.Module, ABC):
    """A parametrisation whose output takes few values only.

    Attributes:
        siblings: names of the owner's parameters before, in order, so that their order can be restored.
    """

    siblings: tuple[str, ...]

    @abstractmethod
    def forward(self, weight: Tensor) -> Tensor:
        """The quantized weight, given the one behind it."""

    @abstractmethod
    def now(self, weight: Tensor) -> Quantized:
        """Codes and what they stand for, given the weight behind it; its values are those of `forward`, bit by bit."""


class SharedLevels(QuantizedWeight):
    """Codes stay as they are, and levels are trained: dL/dlevel is the sum of dL/dweight over its entries.

    A level of zero stays zero. Levels in pairs of opposite signs are one parameter, with either sign. The weight behind
    has no say any more and gets no gradient.

    Attributes:
        magnitudes: what is trained, each behind one level or a pair of them.
    """

    codes: Tensor
    place: Tensor
    sign: Tensor

    def __init__(self, weight: Tensor, quantized: Quantized, *, pairs: bool) -> None:
        super().__init__()
        assert quantized.levels is not None
        levels = quantized.levels
        sign = torch.sign(levels) if pairs else (levels != 0).to(levels.dtype)
        place, first = _parameters_of(levels.tolist(), pairs=pairs)
        self.magnitudes = nn.Parameter((levels * sign)[first].to(weight))
        # Codes lie in memory as the weight does, or every pass would shuffle a channels-last weight back.
        self.order = _order(weight)
        self.shape = tuple(weight.shape[d] for d in self.order)
        self.register_buffer("codes", quantized.codes.permute(self.order).flatten().contiguous())
        self.register_buffer("place", torch.tensor(place, device=weight.device))
        self.register_buffer("sign", sign.to(weight))

    def levels(self) -> Tensor:
        """All levels by code, differentiable."""
        if not self.magnitudes.numel():
            return torch.zeros_like(self.sign)
        return self.sign * self.magnitudes.index_select(0, self.place)

    def forward(self, weight: Tensor) -> Tensor:
        """The level of every entry."""
        found = self.levels().index_select(0, self.codes)
        return found.view(self.shape).permute(tuple(self.order.index(d) for d in range(len(self.order))))

    def now(self, weight: Tensor) -> Quantized:
        """Codes as they are, levels as they were trained to."""
        back = tuple(self.order.index(d) for d in range(len(self.order)))
        codes = self.codes.view(self.shape).permute(back).contiguous()
        return Quantized(codes=codes, levels=self.levels().detach().float())


class StraightThrough(QuantizedWeight):
    """The weight behind is trained: quantized in every pass, with gradients as if it were not.

    Nothing passes where the range cuts a weight off, nor where the weight was pruned.
    """

    keep: Tensor

    def __init__(self, quantizer: Quantizer, keep: Tensor) -> None:
        super().__init__()
        self.quantizer = quantizer
        self.register_buffer("keep", keep)

    def forward(self, weight: Tensor) -> Tensor:
        """Quantized anew."""
        found = self.now(weight)
        values = found.values().to(weight)
        passes = self.keep
        if found.scale is not None:
            # Float32 values differ from the grid by rounding: half a step and a little.
            passes = passes & ((values - weight.detach()).abs() <= 0.5001 * found.along(found.scale).to(weight))
        return _straight(weight, values, passes)

    def now(self, weight: Tensor) -> Quantized:
        """By the quantizer."""
        return self.quantizer.quantize(weight.detach(), keep=self.keep)


class LearnedStep(QuantizedWeight):
    """Weight and step are trained together (LSQ): the step by how the quantized weight moves with it.

    Formula: v = clamp(w / s + z, Qn, Qp); value = (round(v) - z) s; dvalue/ds = round(v) - v inside the range, Qn - z
             or Qp - z outside, all times g = 1 / sqrt(weights per step * Qp)

    Attributes:
        step: s, `(1,)` or one for every channel.
    """

    zero: Tensor
    keep: Tensor

    def __init__(self, weight: Tensor, quantized: Quantized, bounds: tuple[int, int], keep: Tensor) -> None:
        super().__init__()
        assert quantized.scale is not None
        assert quantized.zero is not None
        self.step = nn.Parameter(quantized.scale.to(weight))
        self.register_buffer("zero", quantized.zero)
        self.register_buffer("keep", keep)
        self.bounds, self.dim, self.group = bounds, quantized.dim, quantized.group
        self.gain = 1 / sqrt(max(1, weight.numel() // quantized.scale.numel()) * bounds[1])

    def forward(self, weight: Tensor) -> Tensor:
        """On the grid."""
        form = self._form(weight)
        step, zero = form.along(scale_gradient(self.step, self.gain)), form.along(self.zero)
        place = torch.clamp(weight / step + zero, *self.bounds)
        return (round_through(place) - zero) * step * self.keep

    def now(self, weight: Tensor) -> Quantized:
        """The grid at its present step."""
        form = self._form(weight)
        step, zero = form.along(self.step.detach()), form.along(self.zero)
        codes = torch.round(torch.clamp(weight.detach() / step + zero, *self.bounds))
        codes = torch.where(self.keep, codes, zero.to(codes)).to(torch.int32)
        return Quantized(codes=codes, scale=self.step.detach().float(), zero=self.zero, dim=self.dim, group=self.group)

    def _form(self, weight: Tensor) -> Quantized:
        """Something that knows how the steps are spread over the weight."""
        return Quantized(codes=weight, scale=self.step, zero=self.zero, dim=self.dim, group=self.group)


class _Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, values: Tensor, passes: Tensor) -> Tensor:
        ctx.save_for_backward(passes)
        return values.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (passes,) = ctx.saved_tensors
        return gradients[0] * passes, None, None


def _straight(weight: Tensor, values: Tensor, passes: Tensor) -> Tensor:
    found: Tensor = _Straight.apply(weight, values, passes)  # type: ignore[no-untyped-call]
    return found


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gain: float) -> Tensor:
        ctx.gain = gain
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        return gradients[0] * ctx.gain, None


def scale_gradient(x: Tensor, gain: float) -> Tensor:
    """`x`, with its gradient times `gain`."""
    found: Tensor = _Scaled.apply(x, gain)  # type: ignore[no-untyped-call]
    return found


def round_through(x: Tensor) -> Tensor:
    """`x` rounded, halves to the even number, with gradients as if it were not."""
    return _straight(x, torch.round(x.detach()), x.new_ones((), dtype=torch.bool))


def _parameters_of(levels: Sequence[float], *, pairs: bool) -> tuple[list[int], list[int]]:
    """Which parameter is behind each level, and at which level each parameter is found; a zero has none.

    Equal levels are not one parameter: the first with a plus is paired with the first with a minus, and so on.
    """
    counts: dict[float, int] = {}
    known: dict[tuple[float, int], int] = {}
    place, first = [], []
    for number, level in enumerate(levels):
        if not level:
            place.append(0)
            continue
        turn = counts[level] = counts.get(level, 0) + 1
        key = (abs(level) if pairs else level, turn)
        if key not in known:
            known[key] = len(known)
            first.append(number)
        place.append(known[key])
    return place, first


def _order(weight: Tensor) -> tuple[int, ...]:
    """Dims from the slowest to the fastest in memory."""
    strides = list(weight.stride())
    return tuple(sorted(range(weight.ndim), key=lambda d: (-strides[d], d)))
