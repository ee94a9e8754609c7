"""Tensor train: a linear layer as a chain of small cores over the digits of its inputs and outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.apply.layers import bias_size, weight_of
from secateur.core.contracts import Call, Candidate, Factorizer, Ranks
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.lowrank.base import checked, factorizer, measured_curve, refused, steps
from secateur.lowrank.tensors import decomposed


class TTLinear(nn.Module):
    """A linear layer whose weight is a tensor train; `cores[k]` is `(r_k, m_k, n_k, r_k+1)`."""

    def __init__(self, cores: Sequence[Tensor], bias: Tensor | None) -> None:
        """Take cores and bias as they are."""
        super().__init__()
        self.cores = nn.ParameterList(nn.Parameter(core, requires_grad=core.requires_grad) for core in cores)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=bias.requires_grad)
        self.out_features = prod(core.shape[1] for core in cores)
        self.in_features = prod(core.shape[2] for core in cores)

    def forward(self, x: Tensor) -> Tensor:
        """`(.., in_features) -> (.., out_features)`, one core after the other; the weight is never built."""
        rows = x.numel() // self.in_features
        # (rows, outputs so far, rank, inputs to come)
        state = x.reshape(rows, 1, 1, self.in_features)
        for core in self.cores:
            before, leaving, entering, after = core.shape
            written = state.shape[1]
            state = state.reshape(rows * written, before * entering, -1).transpose(1, 2)
            matrix = core.permute(0, 2, 1, 3).reshape(before * entering, leaving * after)
            state = torch.matmul(state, matrix).unflatten(2, (leaving, after))
            state = state.permute(0, 2, 3, 1).reshape(rows, written * leaving, after, -1)
        found = state.reshape(*x.shape[:-1], self.out_features)
        return found if self.bias is None else found + self.bias

    def extra_repr(self) -> str:
        """Sizes and ranks."""
        ranks = tuple(core.shape[-1] for core in self.cores)[:-1]
        return f"in_features={self.in_features}, out_features={self.out_features}, ranks={ranks}"


@factorizer("tt")
@dataclass(frozen=True, kw_only=True)
class TT(Factorizer):
    """A chain of cores, one for every digit of a mixed-radix numeral of inputs and outputs.

    Paper:   Novikov et al., *Tensorizing Neural Networks*, NIPS 2015, Eq. 3 to 5. arXiv:1509.06569
    Formula: W[(i_1 .. i_d), (j_1 .. j_d)] = G_1[i_1, j_1] G_2[i_2, j_2] .. G_d[i_d, j_d], matrices of r_k-1 x r_k,
             by successive truncated SVDs
    Shapes:  linear m x n -> d cores (r_k-1, m_k, n_k, r_k), m = m_1 .. m_d, n = n_1 .. n_d
    Cost:    m n min(m, n) at most; afterwards per row the sum over k of m_1 .. m_k n_k .. n_d r_k-1 r_k
    Differs: the paper trains cores from the start; here a trained layer is decomposed. The digits are chosen as even
             as the prime factors of the sizes allow; a prime size gives one long digit

    Needs TensorLy: `pip install secateur[lowrank]`. Multiply-accumulates may rise where parameters fall.

    Attributes:
        ways: how many cores.

    Example:
        >>> from torch import nn
        >>> TT(ways=2).factorize(nn.Linear(12, 6), (4,))
        TTLinear(
          in_features=12, out_features=6, ranks=(4,)
          (cores): ParameterList(
              (0): Parameter containing: [torch.float32 of size 1x3x3x4]
              (1): Parameter containing: [torch.float32 of size 4x2x4x1]
          )
        )
    """

    ways: int = 3
    paper: ClassVar[Paper | None] = Paper("novikov2015")

    def __post_init__(self) -> None:
        if self.ways < 2:
            raise IncompatibleError(f"ways must be 2 or more, got ways={self.ways!r}. One core is the layer itself.")

    def refusal(self, module: nn.Module) -> str:
        """Linear layers."""
        return refused(module, (nn.Linear,))

    def full(self, module: nn.Module) -> Ranks:
        """The lesser dim of each unfolding."""
        sizes = [m * n for m, n in self._digits(module)]
        return tuple(min(prod(sizes[:k]), prod(sizes[k:])) for k in range(1, self.ways))

    def curve(self, module: nn.Module) -> Sequence[Candidate]:
        """One rank for all cores, 1, 2, 3, 4, 6, 8, 12, …, or the full one where that is less; losses by trying."""
        full = self.full(module)
        choices = [tuple(min(rank, most) for most in full) for rank in steps(max(full))]
        assert isinstance(module, nn.Linear)
        worth = [c for c in choices if self.params(module, c) < module.weight.numel() or c == choices[0]]
        return measured_curve(self, module, worth, lambda ranks: self.factorize(module, ranks))

    def unfoldings(self, module: nn.Module) -> Sequence[Tensor]:
        """The first k digits against the others."""
        tensor = self._tensor(module)
        return tuple(tensor.flatten(k).flatten(0, k - 1) for k in range(1, self.ways))

    def factorize(self, module: nn.Module, ranks: Ranks) -> nn.Module:
        """One module with all cores."""
        checked(self, module, ranks)
        assert isinstance(module, nn.Linear)
        cores = decomposed("tensor_train", self._tensor(module), rank=[1, *ranks, 1])
        like, found = module.weight, []
        for core, (m, n) in zip(cores, self._digits(module), strict=True):
            core = core.reshape(core.shape[0], m, n, core.shape[-1])  # noqa: PLW2901
            found.append(core.to(like.device, like.dtype, copy=True).requires_grad_(like.requires_grad))
        bias = None
        if module.bias is not None:
            bias = module.bias.detach().clone().requires_grad_(module.bias.requires_grad)
        return TTLinear(found, bias).train(module.training)

    def weight(self, factors: nn.Module) -> Tensor:
        """The product of all cores."""
        assert isinstance(factors, TTLinear)
        state = torch.ones(1, 1, 1, dtype=torch.float64)
        for core in factors.cores:
            state = (
                torch.einsum("mnr,rpqs->mpnqs", state, core.detach().to("cpu", torch.float64))
                .flatten(2, 3)
                .flatten(0, 1)
            )
        return state[..., 0]

    def params(self, module: nn.Module, ranks: Ranks) -> int:
        """Entries of all cores, and the bias."""
        return sum(prod(shape) for shape in self._shapes(module, ranks)) + bias_size(module)

    def macs(self, module: nn.Module, ranks: Ranks, call: Call) -> int:
        """Each core meets the outputs that those before it wrote and the inputs that are left for those after it."""
        total, shapes = 0, self._shapes(module, ranks)
        for k, shape in enumerate(shapes):
            total += prod(shape) * prod(s[1] for s in shapes[:k]) * prod(s[2] for s in shapes[k + 1 :])
        return total * call.batch

    def _digits(self, module: nn.Module) -> list[tuple[int, int]]:
        outputs, inputs = weight_of(module).shape
        return list(zip(digits(outputs, self.ways), digits(inputs, self.ways)[::-1], strict=True))

    def _tensor(self, module: nn.Module) -> Tensor:
        """The weight with one dim for each pair of digits."""
        pairs = self._digits(module)
        weight = weight_of(module)
        split = weight.reshape(*(m for m, _ in pairs), *(n for _, n in pairs))
        order = [d for k in range(self.ways) for d in (k, k + self.ways)]
        return split.permute(order).reshape([m * n for m, n in pairs])

    def _shapes(self, module: nn.Module, ranks: Ranks) -> list[tuple[int, int, int, int]]:
        ends = (1, *ranks, 1)
        return [(ends[k], m, n, ends[k + 1]) for k, (m, n) in enumerate(self._digits(module))]

    @classmethod
    def examples(cls) -> Sequence[TT]:
        """Two and three cores."""
        return [cls(), cls(ways=2)]


def digits(size: int, ways: int) -> list[int]:
    """`ways` factors of `size`, as even as its prime factors allow, the largest first.

    Example:
        >>> digits(800, 3), digits(7, 2)
        ([10, 10, 8], [7, 1])
    """
    found = [1] * ways
    for prime in sorted(_primes(size), reverse=True):
        found[found.index(min(found))] *= prime
    return sorted(found, reverse=True)


def _primes(size: int) -> list[int]:
    found, divisor = [], 2
    while divisor * divisor <= size:
        while size % divisor == 0:
            found.append(divisor)
            size //= divisor
        divisor += 1
    return [*found, size] if size > 1 else found
