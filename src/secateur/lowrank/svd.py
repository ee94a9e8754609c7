"""Truncated SVD: the nearest matrix of low rank, as two layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor, nn

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.core.contracts import Call, Candidate, Factorizer, Ranks
from secateur.core.paper import Paper
from secateur.lowrank.base import checked, factorizer, refused, svd_of, tail_curve


@factorizer("svd")
@dataclass(frozen=True, kw_only=True)
class SVD(Factorizer):
    """A thin layer into r channels and a 1x1 layer out of them, from the singular vectors of the weight as a matrix.

    Paper:   Denton et al., *Exploiting Linear Structure Within Convolutional Networks for Efficient Evaluation*,
             NIPS 2014, section 3. arXiv:1404.0736
    Formula: W (outputs, rest) = U S V^T ~ (U_r S_r^1/2)(S_r^1/2 V_r^T);  ||W - W_r||^2 = sum over i > r of s_i^2
    Shapes:  linear m x n -> r x n, m x r; convolution T x S x h x w -> r x S x h x w, T x r x 1 x 1
    Cost:    m n min(m, n); afterwards r (m + n) multiply-accumulates for m n
    Differs: the singular values are shared between both factors, so that both have gradients of one size. The paper
             splits further, into clusters of channels; that is not done here

    Example:
        >>> from torch import nn
        >>> SVD().factorize(nn.Linear(30, 20), (4,))
        Sequential(
          (0): Linear(in_features=30, out_features=4, bias=False)
          (1): Linear(in_features=4, out_features=20, bias=True)
        )
    """

    paper: ClassVar[Paper | None] = Paper("denton2014")

    def refusal(self, module: nn.Module) -> str:
        """Linear layers and convolutions in one group are taken."""
        return refused(module, (nn.Linear, nn.Conv2d))

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
        """Two layers."""
        checked(self, module, ranks)
        last, first = svd_of(_matrix(module), ranks[0])
        if isinstance(module, nn.Linear):
            return row(module, (twin(module, first, None), twin(module, last, module.bias)))
        assert isinstance(module, nn.Conv2d)
        first = first.reshape(-1, *module.weight.shape[1:])
        layers = twin(module, first, None, **along(module, (0, 1))), twin(module, last[..., None, None], module.bias)
        return row(module, layers)

    def weight(self, factors: nn.Module) -> Tensor:
        """The product."""
        assert isinstance(factors, nn.Sequential)
        first, last = weight_of(factors[0]), weight_of(factors[1])
        return (last.flatten(1) @ first.flatten(1)).reshape(len(last), *first.shape[1:])

    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """`r (m + n)` and the bias."""
        return ranks[0] * sum(_matrix(module).shape) + bias_size(module)

    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """`r (m + n)` at every position that is written."""
        return ranks[0] * sum(_matrix(module).shape) * call.batch * prod(call.outputs)


def _matrix(module: nn.Module) -> Tensor:
    return weight_of(module).flatten(1)
