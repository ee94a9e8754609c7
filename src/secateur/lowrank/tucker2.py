"""Tucker-2: a small convolution between two 1x1 ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.core.contracts import Call, Candidate, Factorizer, Ranks
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.lowrank.base import checked, factorizer, refused
from secateur.lowrank.tensors import decomposed


@factorizer("tucker2")
@dataclass(frozen=True, kw_only=True)
class Tucker2(Factorizer):
    """A 1x1 convolution into r_in channels, the kernel on these, a 1x1 convolution out of r_out channels.

    Paper:   Kim et al., *Compression of Deep Convolutional Neural Networks for Fast and Low Power Mobile
             Applications*, ICLR 2016, Eq. 3 and 4. arXiv:1511.06530
    Formula: W[t, s, y, x] ~ sum over a < r_in, b < r_out of U[s, a] C[b, a, y, x] V[t, b], by higher-order SVD on the
             two channel modes and alternating least squares from there
    Shapes:  T x S x h x w -> r_in x S x 1 x 1, r_out x r_in x h x w, T x r_out x 1 x 1
    Cost:    S T h w (S + T) for the singular vectors, and as much for each refinement
    Differs: the paper takes ranks from variational Bayes alone (`ranks="vbmf"`); here they may follow a budget too

    Needs TensorLy: `pip install secateur[lowrank]`.

    Attributes:
        refinements: rounds of alternating least squares (HOOI) after the higher-order SVD.

    Example:
        >>> from torch import nn
        >>> [tuple(layer.weight.shape) for layer in Tucker2().factorize(nn.Conv2d(8, 6, 3), (3, 2))]
        [(3, 8, 1, 1), (2, 3, 3, 3), (6, 2, 1, 1)]
    """

    refinements: int = 10
    paper: ClassVar[Paper | None] = Paper("kim2016")

    def __post_init__(self) -> None:
        if self.refinements < 1:
            raise IncompatibleError(
                f"refinements must be 1 or more, got refinements={self.refinements!r}. The first makes the core."
            )

    def refusal(self, module: nn.Module) -> str:
        """Convolutions in one group that are wider than one pixel."""
        reason = refused(module, (nn.Conv2d,))
        if not reason and prod(weight_of(module).shape[2:]) == 1:
            return "its kernel is 1x1, which the SVD halves with one rank instead of two"
        return reason

    def full(self, module: nn.Module) -> Ranks:
        """Inputs and outputs, or the number of entries that meet each of them."""
        entering, leaving = self.unfoldings(module)
        return (min(entering.shape), min(leaving.shape))

    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """Pairs of ranks of which none both costs and loses less, with what the higher-order SVD loses."""
        assert isinstance(module, nn.Conv2d)
        weight = weight_of(module)
        entering, leaving = (torch.linalg.svd(x, full_matrices=False)[0] for x in self.unfoldings(module))
        core = torch.einsum("tsyx,sa,tb->abyx", weight, entering, leaving).square().sum((2, 3))
        kept = core.cumsum(0).cumsum(1)
        total = float(kept[-1, -1]) or 1.0
        a = torch.arange(1, core.shape[0] + 1)[:, None]
        b = torch.arange(1, core.shape[1] + 1)[None]
        price = a * entering.shape[0] + a * b * prod(weight.shape[2:]) + b * leaving.shape[0]
        found: list[Candidate] = []
        for number in price.flatten().argsort(stable=True).tolist():
            ranks = divmod(number, core.shape[1])
            lost = max(0.0, 1 - float(kept[ranks]) / total)
            if not found or lost < found[-1].lost:
                found.append(Candidate((ranks[0] + 1, ranks[1] + 1), lost))
        return found

    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """Inputs against all else, outputs against all else."""
        weight = weight_of(module)
        return weight.transpose(0, 1).flatten(1), weight.flatten(1)

    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """Three convolutions."""
        checked(self, module, ranks)
        assert isinstance(module, nn.Conv2d)
        core, entering, leaving = self._parts(weight_of(module).transpose(0, 1), ranks)
        layers = (
            twin(module, entering.T[..., None, None], None),
            twin(module, core.transpose(0, 1), None, **along(module, (0, 1))),
            twin(module, leaving[..., None, None], module.bias),
        )
        return row(module, layers)

    def weight(self, factors: nn.Module) -> Tensor:
        """The product."""
        assert isinstance(factors, nn.Sequential)
        entering, core, leaving = (weight_of(layer) for layer in factors)
        return torch.einsum("as,bayx,tb->tsyx", entering[..., 0, 0], core, leaving[..., 0, 0])

    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """`S r_in + r_in r_out h w + T r_out` and the bias."""
        assert isinstance(module, nn.Conv2d)
        return sum(_sizes(module, ranks)) + bias_size(module)

    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """The first one works on what the layer reads, the others on what it writes."""
        assert isinstance(module, nn.Conv2d)
        first, core, last = _sizes(module, ranks)
        return (first * prod(call.inputs) + (core + last) * prod(call.outputs)) * call.batch

    def _parts(self, kernel: Tensor, ranks: Ranks) -> tuple[Tensor, Tensor, Tensor]:
        """Core, and the bases of inputs and outputs."""
        if not bool(kernel.any()):
            sides = [torch.eye(size, rank, dtype=kernel.dtype) for size, rank in zip(kernel.shape, ranks, strict=False)]
            return kernel[: ranks[0], : ranks[1]], sides[0], sides[1]
        settings = {"rank": list(ranks), "modes": [0, 1], "n_iter_max": self.refinements, "init": "svd"}
        (core, (entering, leaving)), _ = decomposed("partial_tucker", kernel, **settings)
        return core, entering, leaving


def _sizes(module: nn.Conv2d, ranks: Ranks) -> tuple[int, int, int]:
    outputs, inputs, height, width = module.weight.shape
    return inputs * ranks[0], ranks[0] * ranks[1] * height * width, ranks[1] * outputs
