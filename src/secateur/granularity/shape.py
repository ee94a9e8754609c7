"""Fibres: one place of the input, for all outputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.paper import Paper
from secateur.granularity.base import Filters, Layout, WithinWeights, granularity, turned


@granularity("shape")
@dataclass(frozen=True, kw_only=True)
class Shape(WithinWeights):
    """What all outputs of a layer take from one place of their input: `w[:, c, i, j]`, or `w[:, c]` of a linear layer.

    Without it, the patches that a convolution multiplies (im2col) lose a row, so the product gets smaller;
    `lowered_rows` counts them.

    Paper:   Lebedev and Lempitsky, *Fast ConvNets Using Group-wise Brain Damage*, CVPR 2016. arXiv:1506.02515;
             Wen et al., *Learning Structured Sparsity in Deep Neural Networks*, NIPS 2016, Sec. 3.1 (filter shapes)
    Shapes:  saliency (outputs, inputs, *kernel) -> scores (inputs * kernel,), a sum over the outputs

    In a convolution with groups, a place goes from all of them.
    """

    paper: ClassVar[Paper | None] = Paper("lebedev2016")

    def refuses(self, weight: Filters) -> str:
        """Outputs must come first."""
        return turned(weight)

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The outputs lie within a unit."""
        return Layout(shape, (0,))
