"""Shuffle unit: 1x1 convolutions in groups, with a shuffle and a depthwise convolution in between."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.apply.layers import along, bias_size, row, twin, weight_of
from secateur.compact.base import checked, compact, refused, solved
from secateur.core.contracts import Call, CompactBlock
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.rng import generator


class Shuffle(nn.Module):
    """Channels of all groups in turns."""

    def __init__(self, groups: int) -> None:
        """Remember how many groups there are."""
        super().__init__()
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        """`(.., groups * n, height, width)`: entry j of group i goes to place j * groups + i."""
        turned: Tensor = x.unflatten(-3, (self.groups, -1)).transpose(-4, -3)
        return turned.flatten(-4, -3)

    def extra_repr(self) -> str:
        """How many groups."""
        return f"groups={self.groups}"


@compact("shuffle_unit")
@dataclass(frozen=True, kw_only=True)
class ShuffleUnit(CompactBlock):
    """A grouped 1x1 convolution into b channels, a shuffle, a depthwise convolution, a grouped 1x1 convolution.

    Paper:   Zhang, Zhou, Lin, Sun, *ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile
             Devices*, CVPR 2018, figure 2. arXiv:1707.01083
    Formula: W[t, s, y, x] ~ sum over k < b of Q[t, k] D[k, y, x] P[k, s], P and Q zero across groups; each of the three
             in turn by least squares
    Shapes:  T x S x h x w -> b x S/g x 1 x 1, b x 1 x h x w, T x b/g x 1 x 1
    Cost:    `sweeps` times 3 systems in b unknowns; afterwards b (S / g + h w + T / g) multiply-accumulates a place
    Differs: the paper trains from the start, with norms and a ReLU in between and a shortcut around; here the unit
             starts from a trained layer, stays linear inside, and shortcuts are those of the network

    Attributes:
        groups: g; inputs and outputs must divide by it.
        bottleneck: b as a share of the outputs, rounded up to a multiple of g.
        sweeps: turns of least squares.
        seed: for the first guess.

    Example:
        >>> for layer in ShuffleUnit().rebuild(nn.Conv2d(8, 6, 3)):
        ...     print(type(layer).__name__, *(tuple(p.shape) for p in layer.parameters()))
        Conv2d (4, 4, 1, 1)
        Shuffle
        Conv2d (4, 1, 3, 3)
        Conv2d (6, 2, 1, 1) (6,)
    """

    groups: int = 2
    bottleneck: float = 0.5
    sweeps: int = 20
    seed: int = 0
    paper: ClassVar[Paper | None] = Paper("zhang2018shufflenet")

    def __post_init__(self) -> None:
        if self.groups < 1 or not self.bottleneck > 0 or self.sweeps < 1:
            raise IncompatibleError(
                f"groups and sweeps must be 1 or more and bottleneck above 0, got groups={self.groups!r}, "
                f"sweeps={self.sweeps!r}, bottleneck={self.bottleneck!r}."
            )

    def refusal(self, module: nn.Conv2d) -> str:
        """Convolutions in one group, wider than one pixel, whose channels divide by the groups."""
        reason = refused(module)
        if not reason and (module.in_channels % self.groups or module.out_channels % self.groups):
            return f"its {module.in_channels} inputs or {module.out_channels} outputs do not divide by {self.groups}"
        return reason

    def rebuild(self, module: nn.Conv2d) -> nn.Module:
        """Three convolutions and a shuffle."""
        checked(self, module)
        weight, many, groups = weight_of(module), self._many(module), self.groups
        # Place k of the depthwise convolution holds channel `order[k]` of the first one.
        order = torch.arange(many).view(groups, -1).T.flatten()
        reads = _same_group(order, many, module.in_channels, groups)
        writes = _same_group(torch.arange(many), many, module.out_channels, groups)
        entering, filters, leaving = _fitted(weight.flatten(2), reads, writes, self.sweeps, self.seed)
        first = weight.new_zeros(many, module.in_channels)
        first[order] = entering
        layers = (
            twin(module, _packed(first, groups)[..., None, None], None, groups=groups),
            Shuffle(groups),
            twin(module, filters.view(many, 1, *weight.shape[2:]), None, groups=many, **along(module, (0, 1))),
            twin(module, _packed(leaving, groups)[..., None, None], module.bias, groups=groups),
        )
        return row(module, layers)

    def params(self, module: nn.Conv2d) -> int:
        """`b (S / g + h w + T / g)` and the bias."""
        return sum(self._entries(module)) + bias_size(module)

    def macs(self, module: nn.Conv2d, call: Call) -> int:
        """The first on what the layer reads, the others on what it writes."""
        first, others = self._entries(module)
        return (first * prod(call.inputs) + others * prod(call.outputs)) * call.batch

    def _many(self, module: nn.Conv2d) -> int:
        return max(1, -(-round(self.bottleneck * module.out_channels) // self.groups)) * self.groups

    def _entries(self, module: nn.Conv2d) -> tuple[int, int]:
        many = self._many(module)
        first, last = module.in_channels // self.groups, module.out_channels // self.groups
        return many * first, many * (prod(module.kernel_size) + last)


def _same_group(channels: Tensor, many: int, width: int, groups: int) -> Tensor:
    """`(channels, width)`: whether a channel of `many` and one of `width` are in the same group."""
    return (channels * groups // many)[:, None] == (torch.arange(width) * groups // width)[None]


def _packed(dense: Tensor, groups: int) -> Tensor:
    """The blocks on the diagonal, one below the other, as a grouped convolution stores them."""
    blocks = dense.unflatten(0, (groups, -1)).unflatten(2, (groups, -1))
    return torch.cat([blocks[g, :, g] for g in range(groups)])


def _fitted(weight: Tensor, reads: Tensor, writes: Tensor, sweeps: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """P `(b, S)`, D `(b, places)` and Q `(T, b)` by alternating least squares; `reads`, `writes` say what may be."""
    many = len(reads)
    rng = generator(seed, "shuffle_unit")
    entering = torch.randn(reads.shape, generator=rng, dtype=weight.dtype) * reads
    filters = torch.randn(many, weight.shape[2], generator=rng, dtype=weight.dtype)
    leaving = weight.new_zeros(weight.shape[0], many)
    for _ in range(sweeps):
        gram = (entering @ entering.T) * (filters @ filters.T)
        leaving = _masked(gram, torch.einsum("tsp,ks,kp->kt", weight, entering, filters), writes).T
        gram = (leaving.T @ leaving) * (filters @ filters.T)
        entering = _masked(gram, torch.einsum("tsp,tk,kp->ks", weight, leaving, filters), reads)
        gram = (leaving.T @ leaving) * (entering @ entering.T)
        filters = solved(gram, torch.einsum("tsp,tk,ks->kp", weight, leaving, entering))
        sizes = [x.norm(dim=d).clamp_min(1e-30) for x, d in ((entering, 1), (filters, 1), (leaving, 0))]
        mean = (sizes[0] * sizes[1] * sizes[2]).pow(1 / 3)
        entering, filters = entering * (mean / sizes[0])[:, None], filters * (mean / sizes[1])[:, None]
        leaving = leaving * (mean / sizes[2])
    return entering, filters, leaving


def _masked(gram: Tensor, right: Tensor, allowed: Tensor) -> Tensor:
    """Least squares for each column of `right`, in the unknowns that are allowed to it."""
    found = torch.zeros_like(right)
    for pattern in allowed.T.unique(dim=0):
        columns = (pattern == allowed.T).all(1).nonzero().flatten()
        some = pattern.nonzero().flatten()
        found[some[:, None], columns] = solved(gram[some][:, some], right[some][:, columns])
    return found
