"""Connection sensitivity: how much does the loss depend on whether this weight is there?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import MeanGradient, Weight


@criterion("snip")
@dataclass(frozen=True, kw_only=True)
class SNIP(ElementCriterion):
    """Connection sensitivity.

    Paper:   Lee, Ajanthan, Torr, *SNIP: Single-shot Network Pruning based on Connection Sensitivity*, ICLR 2019, Eq. 6.
             arXiv:1810.02340
    Formula: s(w) = | w g |, g the gradient of the mean loss; a unit's score is the sum
    Shapes:  tensor (*) -> scores (*)
    Cost:    one forward and backward pass per batch; O(n) memory for n weights
    Differs: all calibration batches together are the paper's one mini-batch; scores are not divided by their sum, which
             changes no ranking; the network may be trained already, the paper's is newly initialised

    Example:
        >>> SNIP.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("lee2019")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, MeanGradient)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False, comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """|w g| of every entry."""
        return (evidence[Weight][tensor] * evidence[MeanGradient][tensor]).abs()
