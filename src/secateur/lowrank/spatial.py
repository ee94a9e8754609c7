"""Separable filters: a vertical convolution, then a horizontal one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.core.contracts import Call, Candidate, Factorizer, Ranks
from secateur.core.paper import Paper
from secateur.lowrank.base import checked, factorizer, refused, svd_of, tail_curve


@factorizer("spatial")
@dataclass(frozen=True, kw_only=True)
class Spatial(Factorizer):
    """A convolution h x 1 into r channels and one of 1 x w out of them; all filters share the vertical ones.

    Paper:   Jaderberg, Vedaldi, Zisserman, *Speeding up Convolutional Neural Networks with Low Rank Expansions*,
             BMVC 2014, scheme 2. arXiv:1405.3866
    Formula: W[t, s, y, x] ~ sum over k < r of H[t, k, x] V[k, s, y], by the SVD of W as a matrix (S h) x (T w)
    Shapes:  T x S x h x w -> r x S x h x 1, T x r x 1 x w
    Cost:    that of the SVD; afterwards r S h and r T w multiply-accumulates per position for S T h w
    Differs: the paper searches for both factors by gradient; the global optimum of the same error is an SVD (Tai et
             al., ICLR 2016), which is taken here

    Example:
        >>> from torch import nn
        >>> [tuple(layer.weight.shape) for layer in Spatial().factorize(nn.Conv2d(8, 6, 3), (5,))]
        [(5, 8, 3, 1), (6, 5, 1, 3)]
    """

    paper: ClassVar[Paper | None] = Paper("jaderberg2014")

    def refusal(self, module: nn.Module) -> str:
        """Convolutions in one group that are wider than one pixel both ways."""
        reason = refused(module, (nn.Conv2d,))
        if not reason and 1 in weight_of(module).shape[2:]:
            return f"its kernel is {tuple(weight_of(module).shape[2:])!r}, allowed are kernels above 1 both ways"
        return reason

    def full(self, module: nn.Module) -> Ranks:
        """The lesser dim of the matrix."""
        return (min(_matrix(module).shape),)

    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """Every rank, with the tail of the spectrum."""
        return tail_curve(_matrix(module))

    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """The matrix."""
        return (_matrix(module),)

    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """Two convolutions."""
        checked(self, module, ranks)
        assert isinstance(module, nn.Conv2d)
        outputs, inputs, height, width = module.weight.shape
        first, last = svd_of(_matrix(module), ranks[0])
        vertical = first.T.reshape(-1, inputs, height, 1)
        horizontal = last.reshape(-1, outputs, width).permute(1, 0, 2).unsqueeze(2)
        layers = (
            twin(module, vertical, None, **along(module, (0,))),
            twin(module, horizontal, module.bias, **along(module, (1,))),
        )
        return row(module, layers)

    def weight(self, factors: nn.Module) -> Tensor:
        """The product."""
        assert isinstance(factors, nn.Sequential)
        vertical, horizontal = weight_of(factors[0])[..., 0], weight_of(factors[1])[:, :, 0]
        return torch.einsum("ksy,tkx->tsyx", vertical, horizontal)

    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """`r (S h + T w)` and the bias."""
        return ranks[0] * sum(_matrix(module).shape) + bias_size(module)

    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """The vertical one writes as many rows as the layer, and as many columns as it reads (and pads not yet)."""
        assert isinstance(module, nn.Conv2d)
        vertical, horizontal = _matrix(module).shape
        rows, columns = call.outputs
        return ranks[0] * rows * (vertical * call.inputs[1] + horizontal * columns) * call.batch


def _matrix(module: nn.Module) -> Tensor:
    weight = weight_of(module)
    return weight.permute(1, 2, 0, 3).flatten(2).flatten(0, 1)
