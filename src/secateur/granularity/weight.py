"""Single weights: unstructured sparsity."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.granularity.base import Filters, Layout, WithinWeights, granularity


@granularity("weight")
@dataclass(frozen=True, kw_only=True)
class Weight(WithinWeights):
    """Every entry of every weight that multiplies and adds (convolutions, linear layers); biases and norms stay.

    Shapes: saliency of a tensor -> scores `(entries,)`, row by row.
    """

    def refuses(self, weight: Filters) -> str:
        """Every weight has entries."""
        return ""

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Every entry is a unit."""
        return Layout(shape)
