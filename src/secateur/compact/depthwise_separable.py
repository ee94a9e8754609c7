"""Depthwise separable: a filter for each input channel, then a 1x1 convolution."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import nn

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.compact.base import checked, compact, refused
from secateur.core.contracts import Call, CompactBlock
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper


@compact("depthwise_separable")
@dataclass(frozen=True, kw_only=True)
class DepthwiseSeparable(CompactBlock):
    """A depthwise convolution and a pointwise one, from the best approximation of rank m of each input channel.

    Paper:   Howard et al., *MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications*, 2017,
             section 3.1. arXiv:1704.04861
    Formula: W[t, s, y, x] ~ sum over i < m of P[t, s, i] D[s, i, y, x]: for each s the SVD of W[:, s] as a matrix
             T x (h w); the lost square is the sum over s and i > m of s_i^2
    Shapes:  T x S x h x w -> S m x 1 x h x w, T x S m x 1 x 1
    Cost:    S SVDs of T x h w; afterwards S m (h w + T) multiply-accumulates per position for S T h w
    Differs: the paper trains from the start, with a norm and a ReLU in between; here the block starts as the nearest
             one to a trained layer, and stays linear inside

    Attributes:
        multiplier: m, depthwise filters for each input channel.

    Example:
        >>> [tuple(layer.weight.shape) for layer in DepthwiseSeparable().rebuild(nn.Conv2d(8, 6, 3))]
        [(8, 1, 3, 3), (6, 8, 1, 1)]
    """

    multiplier: int = 1
    paper: ClassVar[Paper | None] = Paper("howard2017")

    def __post_init__(self) -> None:
        if self.multiplier < 1:
            raise IncompatibleError(f"multiplier must be 1 or more, got multiplier={self.multiplier!r}.")

    def refusal(self, module: nn.Conv2d) -> str:
        """Convolutions in one group that are wider than one pixel."""
        return refused(module)

    def rebuild(self, module: nn.Conv2d) -> nn.Module:
        """Two convolutions."""
        checked(self, module)
        weight, rank = weight_of(module), self._rank(module)
        u, s, vh = torch.linalg.svd(weight.transpose(0, 1).flatten(2), full_matrices=False)
        root = s[:, :rank].sqrt()
        filters = (root[..., None] * vh[:, :rank]).reshape(-1, 1, *weight.shape[2:])
        mixing = (u[..., :rank] * root[:, None]).transpose(1, 2).flatten(0, 1).T
        layers = (
            twin(module, filters, None, groups=module.in_channels, **along(module, (0, 1))),
            twin(module, mixing[..., None, None], module.bias),
        )
        return row(module, layers)

    def params(self, module: nn.Conv2d) -> int:
        """`S m (h w + T)` and the bias."""
        return self._entries(module) + bias_size(module)

    def macs(self, module: nn.Conv2d, call: Call) -> int:
        """The same at every position that is written."""
        return self._entries(module) * call.batch * prod(call.outputs)

    def _rank(self, module: nn.Conv2d) -> int:
        return min(self.multiplier, module.out_channels, prod(module.kernel_size))

    def _entries(self, module: nn.Conv2d) -> int:
        return module.in_channels * self._rank(module) * (prod(module.kernel_size) + module.out_channels)

    @classmethod
    def examples(cls) -> list[DepthwiseSeparable]:
        """One filter for each channel, and two."""
        return [cls(), cls(multiplier=2)]
