"""Magnitude: small weights matter little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.criteria.base import criterion
from secateur.evidence import Weight


@criterion("magnitude")
@dataclass(frozen=True, kw_only=True)
class Magnitude(ElementCriterion):
    """Absolute value of each weight, to a power.

    Paper:   Li et al., *Pruning Filters for Efficient ConvNets*, ICLR 2017, Sec. 3.1 (filters, p = 1).
             arXiv:1608.08710;
             Han et al., *Learning both Weights and Connections*, NIPS 2015, Sec. 3 (single weights). arXiv:1506.02626
    Formula: s(w) = |w| ** p; a unit's score is the sum over its entries
    Shapes:  tensor (*) -> scores (*)
    Cost:    O(n) for n weights; no data
    Differs: for p = 2 a unit's score is the squared norm, which ranks as the norm does

    Attributes:
        p: 1 for the L1 norm, 2 for the squared L2 norm.

    Example:
        >>> Magnitude(p=2).p
        2
    """

    p: int = 1
    paper: ClassVar[Paper | None] = Paper("li2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(scale="equivariant")

    def __post_init__(self) -> None:
        if self.p not in (1, 2):
            raise IncompatibleError(f"p must be 1 or 2, got p={self.p!r}. Magnitude(p=1) sums absolute values.")

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """|w| ** p of every entry."""
        weight = evidence[Weight][tensor]
        return weight.abs() if self.p == 1 else weight.square()

    @classmethod
    def examples(cls) -> list[Magnitude]:
        """Both norms."""
        return [cls(p=1), cls(p=2)]
