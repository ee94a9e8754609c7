"""Single weights: unstructured sparsity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from secateur.core.contracts import Block
from secateur.core.groups import ChannelGraph
from secateur.granularity.base import Filters, Layout, WithinWeights, filters, granularity


@granularity("weight")
@dataclass(frozen=True, kw_only=True)
class Weight(WithinWeights):
    """Every entry of every weight that multiplies and adds (convolutions, linear layers); norms stay.

    Shapes: saliency of a tensor -> scores `(entries,)`, row by row.

    Attributes:
        biases: whether biases of the same layers lose entries too. They are blocks of their own, and only budgets of
            params count them.
    """

    biases: bool = False

    def refuses(self, weight: Filters) -> str:
        """Every weight has entries."""
        return ""

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Every entry is a unit."""
        return Layout(shape)

    def extra(self, graph: ChannelGraph) -> Sequence[Block]:
        """Biases, if they are asked for."""
        if not self.biases:
            return ()
        owners = {name.rpartition(".")[0] for name in filters(graph)}
        names = [f"{owner}.bias".lstrip(".") for owner in owners]
        sizes = {n: graph.tensors[n].numel(graph.full) for n in graph.tensors if n in names}
        return [Block(name, size, (name,), minimum=0) for name, size in sizes.items()]

    @classmethod
    def examples(cls) -> Sequence[Weight]:
        """Without and with biases."""
        return [cls(), cls(biases=True)]
