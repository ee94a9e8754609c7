"""Canonical polyadic decomposition: four thin convolutions in a row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.core.contracts import Call, Candidate, Factorizer, Ranks
from secateur.core.paper import Paper
from secateur.lowrank.base import checked, factorizer, lost_share, refused, steps
from secateur.lowrank.tensors import decomposed

#: With less of the square lost there is nothing left to fit, and least squares would divide by nothing.
_NOTHING = 1e-26


@factorizer("cp")
@dataclass(frozen=True, kw_only=True)
class CP(Factorizer):
    """A 1x1 convolution into r channels, a column and a row on each of them, a 1x1 convolution out of them.

    Paper:   Lebedev et al., *Speeding-up Convolutional Neural Networks Using Fine-tuned CP-Decomposition*, ICLR 2015,
             Eq. 2 to 4. arXiv:1412.6553
    Formula: W[t, s, y, x] ~ sum over k < r of A[t, k] B[s, k] C[y, k] D[x, k]
    Shapes:  T x S x h x w -> r x S x 1 x 1, r x 1 x h x 1, r x 1 x 1 x w, T x r x 1 x 1
    Cost:    `sweeps` rounds of alternating least squares, S T h w r each, at every rank of 1, 2, 3, 4, 6, 8, 12, … up
             to r; afterwards r (S + h + w + T) multiply-accumulates per position
    Differs: the paper fits all factors at once by non-linear least squares (Gauss-Newton); here by alternating least
             squares of TensorLy, each rank starting from the one before with its residual's components added, so that
             the error never rises along these ranks. Columns are scaled to one length in all factors. From
             S T h w / max(S, T, h, w) on the decomposition is written down exactly. Known to be unstable when all
             layers of a deep network are decomposed and trained at once

    Needs TensorLy: `pip install secateur[lowrank]`.

    Attributes:
        sweeps: rounds of alternating least squares at every rank.

    Example:
        >>> from torch import nn
        >>> [tuple(layer.weight.shape) for layer in CP().factorize(nn.Conv2d(8, 6, 3), (5,))]
        [(5, 8, 1, 1), (5, 1, 3, 1), (5, 1, 1, 3), (6, 5, 1, 1)]
    """

    sweeps: int = 50
    paper: ClassVar[Paper | None] = Paper("lebedev2015")

    def refusal(self, module: nn.Module) -> str:
        """Convolutions in one group that are wider than one pixel."""
        reason = refused(module, (nn.Conv2d,))
        if not reason and prod(weight_of(module).shape[2:]) == 1:
            return "its kernel is 1x1, of which the SVD is the same at half the layers"
        return reason

    def full(self, module: nn.Module) -> Ranks:
        """All entries but those along the longest dim."""
        assert isinstance(module, nn.Conv2d)
        return (module.weight.numel() // max(module.weight.shape),)

    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """1, 2, 3, 4, 6, 8, 12, … as far as there is something to gain, with what is lost at each."""
        assert isinstance(module, nn.Conv2d)
        weight = weight_of(module)
        worth = min(self.full(module)[0] - 1, max(1, weight.numel() // sum(weight.shape)))
        found: list[Candidate] = []
        for factors in self._path(weight, max(1, worth)):
            lost = lost_share(weight, _product(factors))
            if not found or lost < found[-1].lost:
                found.append(Candidate((factors[0].shape[1],), lost))
        return found

    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """None: the rank of a tensor is not that of a matrix."""
        return ()

    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """Four convolutions, two of them depthwise."""
        checked(self, module, ranks)
        assert isinstance(module, nn.Conv2d)
        rank, weight = ranks[0], weight_of(module)
        factors = _exact(weight) if ranks == self.full(module) else self._path(weight, rank)[-1]
        leaving, entering, column, line = _balanced(factors)
        layers = (
            twin(module, entering.T[..., None, None], None),
            twin(module, column.T[:, None, :, None], None, groups=rank, **along(module, (0,))),
            twin(module, line.T[:, None, None, :], None, groups=rank, **along(module, (1,))),
            twin(module, leaving[..., None, None], module.bias),
        )
        return row(module, layers)

    def weight(self, factors: nn.Module) -> Tensor:
        """The product."""
        assert isinstance(factors, nn.Sequential)
        entering, column, line, leaving = (weight_of(layer) for layer in factors)
        return _product([leaving[..., 0, 0], entering[..., 0, 0].T, column[:, 0, :, 0].T, line[:, 0, 0].T])

    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """`r (S + h + w + T)` and the bias."""
        assert isinstance(module, nn.Conv2d)
        return ranks[0] * sum(module.weight.shape) + bias_size(module)

    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """The first on what is read, the columns on rows written and columns read, the rest on what is written."""
        assert isinstance(module, nn.Conv2d)
        outputs, inputs, height, width = module.weight.shape
        read, written = prod(call.inputs), prod(call.outputs)
        between = call.outputs[0] * call.inputs[1]
        return ranks[0] * (inputs * read + height * between + (width + outputs) * written) * call.batch

    @classmethod
    def examples(cls) -> Sequence[CP]:
        """A few sweeps."""
        return [cls(sweeps=10)]

    def _path(self, weight: Tensor, rank: int) -> list[list[Tensor]]:
        """Factors at every step up to `rank`, each no worse than the one before."""
        found: list[list[Tensor]] = []
        for number in steps(rank):
            found.append(self._more(weight, number, found[-1] if found else []))
        return found

    def _more(self, weight: Tensor, rank: int, before: list[Tensor]) -> list[Tensor]:
        """Factors of one rank, from those of a lower one."""
        if not before:
            return self._als(weight, rank, None)
        padded = [torch.cat((x, x.new_zeros(len(x), rank - x.shape[1])), 1) for x in before]
        if lost_share(weight, _product(before)) < _NOTHING:
            return padded
        added = self._als(weight - _product(before), rank - before[0].shape[1], None)
        start = [torch.cat(pair, 1) for pair in zip(before, added, strict=True)]
        found = self._als(weight, rank, start)
        return min((found, start, padded), key=lambda factors: lost_share(weight, _product(factors)))

    def _als(self, weight: Tensor, rank: int, start: list[Tensor] | None) -> list[Tensor]:
        """Alternating least squares from `start`, or from singular vectors; where that breaks down, the start."""
        init = "svd" if start is None else (weight.new_ones(rank), start)
        fallback = start or [weight.new_zeros(size, rank) for size in weight.shape]
        if not bool(weight.any()):
            return fallback
        try:
            weights, factors = decomposed(
                "parafac", weight, rank=rank, n_iter_max=self.sweeps, init=init, random_state=0, tol=0
            )
        except np.linalg.LinAlgError:  # components that follow from each other
            return fallback
        return [factors[0] * weights, *factors[1:]]


def _product(factors: Sequence[Tensor]) -> Tensor:
    return torch.einsum("tk,sk,yk,xk->tsyx", *factors)


def _balanced(factors: Sequence[Tensor]) -> list[Tensor]:
    """The same product with columns of one length in all factors."""
    lengths = torch.stack([x.norm(dim=0) for x in factors])
    mean = lengths.prod(0).pow(1 / len(factors))
    return [x * torch.where(length > 0, mean / length, 0.0) for x, length in zip(factors, lengths, strict=True)]


def _exact(weight: Tensor) -> list[Tensor]:
    """One component for every fibre along the longest dim: the fibre itself, and where it is."""
    longest = max(range(weight.ndim), key=lambda d: weight.shape[d])
    others = [d for d in range(weight.ndim) if d != longest]
    places = torch.cartesian_prod(*(torch.arange(weight.shape[d]) for d in others))
    found: dict[int, Tensor] = {longest: weight.movedim(longest, 0).flatten(1)}
    for number, d in enumerate(others):
        found[d] = torch.eye(weight.shape[d], dtype=weight.dtype)[:, places[:, number]]
    return [found[d] for d in range(weight.ndim)]
