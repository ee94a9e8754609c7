"""Single weights: unstructured sparsity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Block, Granularity
from secateur.core.groups import ChannelGraph
from secateur.granularity.base import granularity


@granularity("weight")
@dataclass(frozen=True, kw_only=True)
class Weight(Granularity):
    """Every entry of every weight that multiplies and adds (convolutions, linear layers); biases and norms stay.

    Shapes: saliency of a tensor -> scores `(entries,)`, row by row.
    """

    structured: ClassVar[bool] = False

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block per weight of an operator that costs multiply-accumulates."""
        names = dict.fromkeys(op.weight for op in graph.ops if op.weight and not graph.tensors[op.weight].buffer)
        return [Block(n, prod(a.size(graph.full) for a in graph.tensors[n].axes), (n,)) for n in names]

    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """The saliencies themselves."""
        return saliency[block.name].reshape(-1).double()

    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """The mask in the weight's shape."""
        return {block.name: keep.view([a.size(graph.full) for a in graph.tensors[block.name].axes])}
