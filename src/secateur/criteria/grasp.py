"""Gradient signal preservation: would the gradient lose its force without this weight?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import HessianGradient, Weight


@criterion("grasp")
@dataclass(frozen=True, kw_only=True)
class GraSP(ElementCriterion):
    """By how much the squared norm of the gradient falls when a weight goes, to first order.

    Paper:   Wang, Zhang, Grosse, *Picking Winning Tickets Before Training by Preserving Gradient Flow*, ICLR 2020,
             Eq. 8. arXiv:2002.07376
    Formula: s(w) = w (H g), g and H of the mean loss with outputs divided by 200; removing w changes |g|^2 by -2 s to
             first order. High scores stay. Scores have signs; a unit's score is the sum
    Shapes:  tensor (*) -> scores (*)
    Cost:    two forward and three backward passes per batch; O(n) memory for n weights
    Differs: the paper's S(-w) = -w (H g) is removed from the top, which is the same; the network may be trained
             already, the paper's is newly initialised; all calibration batches are used in place of some examples of
             each class

    Example:
        >>> GraSP.traits.zero_is_least
        False
    """

    paper: ClassVar[Paper | None] = Paper("wang2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, HessianGradient)
    traits: ClassVar[Traits] = Traits(zero_is_least=False, data_free=False, comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """W H g of every entry."""
        return evidence[Weight][tensor] * evidence[HessianGradient][tensor]
