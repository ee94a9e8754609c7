"""Quantizers: which few values weights may take."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self

from torch import Tensor

from secateur.core.paper import Paper
from secateur.core.quantized import Quantized


class Quantizer(ABC):
    """Says which few numbers the entries of a weight may take.

    Attributes:
        paper: where it was published.
        pairs: levels come in pairs of opposite signs, which stay pairs when they are trained.
        monotone: of two entries that stay, the larger one never gets the smaller value.
    """

    paper: ClassVar[Paper | None] = None
    pairs: ClassVar[bool] = False
    monotone: ClassVar[bool] = True

    @property
    def bounds(self) -> tuple[int, int] | None:
        """Smallest and largest code of an even grid; None for quantizers that give a codebook."""
        return None

    @abstractmethod
    def quantize(self, weight: Tensor, *, keep: Tensor | None = None) -> Quantized:
        """Replace every entry of `weight` by a code.

        Args:
            weight: floating point, of any shape.
            keep: boolean, in its shape; what does not stay gets the value 0 and has no say in the levels. None: all
                entries that are not 0 stay.
        """

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
