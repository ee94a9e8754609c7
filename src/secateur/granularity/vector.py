"""Rows or columns of kernels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.granularity.base import Filters, Layout, WithinWeights, granularity, kernels


@granularity("vector")
@dataclass(frozen=True, kw_only=True)
class Vector(WithinWeights):
    """Rows or columns of the kernels of convolutions.

    Paper:   Mao et al., *Exploring the Granularity of Sparsity in Convolutional Neural Networks*, CVPR Workshops 2017
             (vector-level sparsity). arXiv:1705.08922
    Shapes:  saliency (outputs, inputs, height, width) -> scores (outputs * inputs * height,) for rows, a sum over the
             width

    Attributes:
        along: "row" for weights that lie beside each other in the last dim of a kernel, "column" for those below each
            other in the one before; kernels of one dim have rows only.
    """

    along: Literal["row", "column"] = "row"
    paper: ClassVar[Paper | None] = Paper("mao2017")

    def __post_init__(self) -> None:
        if self.along not in ("row", "column"):
            raise IncompatibleError(f"along must be 'row' or 'column', got along={self.along!r}.")

    def refuses(self, weight: Filters) -> str:
        """Only kernels have rows, and only those of two dims have columns."""
        flat = self.along == "column" and len(weight.shape) < 4
        return kernels(weight) or ("its kernels have no columns" if flat else "")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """The last dim, or the one before, lies within a unit."""
        return Layout(shape, (len(shape) - (1 if self.along == "row" else 2),))

    @classmethod
    def examples(cls) -> list[Vector]:
        """Rows and columns."""
        return [cls(along="row"), cls(along="column")]
