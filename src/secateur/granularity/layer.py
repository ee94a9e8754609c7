"""Residual blocks: depth pruning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Block, Granularity
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph, is_in
from secateur.granularity.base import granularity


@granularity("layer")
@dataclass(frozen=True, kw_only=True)
class Layer(Granularity):
    """Residual blocks (depth): whole modules that give their input back once all of their parameters are zero.

    Such a module is masked by zeros in all of its parameters; shrinking puts `torch.nn.Identity()` in its place. Which
    modules those are is found by trial when the network is traced (`graph.blocks`). Not among them: blocks that change
    the shape or project the shortcut, blocks with a norm behind the sum, sums written into the forward of a larger
    module, and modules that are called with more than one tensor, return a tuple, are called twice, or share tensors
    with others. So the encoder layers of most models in `transformers`, which take masks beside the hidden states, are
    not offered, and those of `timm` and `torchvision` are.

    A unit's score is a sum over all entries of its block, so large blocks have large magnitudes. That suits criteria
    which estimate a change of the loss (taylor); with magnitude, small blocks go first.

    Attributes:
        minimum: fewest residual blocks that may stay.

    Shapes: saliencies in the shape of their tensors -> scores `(residual blocks,)`, a sum over entries.
    """

    minimum: int = 0
    structured: ClassVar[bool] = True
    modular: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.minimum < 0:
            raise IncompatibleError(f"minimum must be 0 or more, got minimum={self.minimum!r}. 0 lets every block go.")

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block, "layers", whose units are the removable modules in order of execution; none without any."""
        if not graph.blocks:
            return []
        tensors = tuple(n for n, t in graph.tensors.items() if not t.buffer and is_in(n, graph.blocks))
        least = min(self.minimum, len(graph.blocks))
        return [Block("layers", len(graph.blocks), tensors, modules=graph.blocks, minimum=least)]

    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """Sum over all parameters of each module."""
        sums = {n: saliency[n].sum(dtype=torch.float64).cpu() for n in block.tensors}
        own = [[x for n, x in sums.items() if is_in(n, (module,))] for module in block.modules]
        return torch.stack([torch.stack(found).sum() for found in own])

    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """Zeros for every parameter of a module that goes."""
        gone = [module for module, stays in zip(block.modules, keep.tolist(), strict=True) if not stays]
        shapes = {n: [a.size(graph.full) for a in graph.tensors[n].axes] for n in block.tensors if is_in(n, gone)}
        return {n: torch.zeros(shape, dtype=torch.bool) for n, shape in shapes.items()}

    @classmethod
    def examples(cls) -> list[Layer]:
        """With and without a minimum."""
        return [cls(), cls(minimum=1)]
