"""Strided kernels: of all kernels that read one input channel, the same places stay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from secateur.core.contracts import Block, Granularity
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.paper import Paper
from secateur.granularity.base import Filters, filters, granularity, kernels, turned


@granularity("intra_kernel")
@dataclass(frozen=True, kw_only=True)
class IntraKernel(Granularity):
    """Intra-kernel strided sparsity: all kernels that read one input channel keep the same places, a stride apart.

    The places of a kernel are counted row by row, and those at an offset and every `stride` steps behind it stay. A
    unit is one offset of one input channel; of the `stride` offsets of a channel exactly one stays. So the patches that
    a convolution multiplies (im2col) lose all but a `stride`-th of their rows, and the product gets smaller:
    `lowered_rows` counts them. The pattern says how much goes, so a budget has nothing to decide: write "1 weights", or
    no less than what the pattern leaves.

    Scores choose the offset of every channel on its own; `particle_filter` searches for offsets that go well together,
    as the paper does.

    Paper:   Anwar et al., *Structured Pruning of Deep Convolutional Neural Networks*, JETC 2017. arXiv:1512.08571
    Shapes:  saliency (outputs, inputs, *kernel) -> scores (inputs * stride,), a sum over the outputs and over the
             places of one offset

    In a convolution with groups, a channel is one of each group, and they share their offset.

    Attributes:
        stride: steps between places that stay; kernels with fewer places than that stay whole.
    """

    stride: int = 2
    structured: ClassVar[bool] = False
    paper: ClassVar[Paper | None] = Paper("anwar2017")

    def __post_init__(self) -> None:
        if self.stride < 2:
            raise IncompatibleError(f"stride must be 2 or more, got stride={self.stride!r}. 2 leaves half of a kernel.")

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block per convolution whose kernels have enough places."""
        inputs = {name: weight.shape[1] for name, weight in filters(graph).items() if not self._refuses(weight)}
        return [
            Block(name, number * self.stride, (name,), minimum=number, maximum=number, run=self.stride)
            for name, number in inputs.items()
        ]

    def omitted(self, graph: ChannelGraph) -> Mapping[str, str]:
        """The weights that stay whole, and why."""
        reasons = {name: self._refuses(weight) for name, weight in filters(graph).items()}
        return {name: why for name, why in reasons.items() if why}

    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """Sum over all outputs and the places of each offset."""
        places = saliency[block.name].flatten(2).double().sum(0)  # (inputs, places)
        filled = F.pad(places, (0, -places.shape[1] % self.stride))
        return filled.reshape(len(places), -1, self.stride).sum(1).flatten()

    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """The mask in the weight's shape."""
        shape = [a.size(graph.full) for a in graph.tensors[block.name].axes]
        offset = torch.arange(prod(shape[2:])) % self.stride
        places = keep.view(shape[1], self.stride)[:, offset]
        return {block.name: places.view(1, *shape[1:]).expand(shape).clone()}

    def _refuses(self, weight: Filters) -> str:
        few = prod(weight.shape[2:]) < self.stride
        return kernels(weight) or turned(weight) or (f"its kernels have fewer than {self.stride} places" * few)

    @classmethod
    def examples(cls) -> list[IntraKernel]:
        """Offsets with unequal and with equal numbers of places."""
        return [cls(stride=2), cls(stride=3)]
