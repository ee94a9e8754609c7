"""First-order Taylor saliency: how much would the loss move if this weight were zero?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import SquaredGradient, Weight


@criterion("taylor")
@dataclass(frozen=True, kw_only=True)
class Taylor(ElementCriterion):
    """First-order Taylor importance of each weight.

    Paper:   Molchanov et al., *Importance Estimation for Neural Network Pruning*, CVPR 2019, Eq. 8 and the sum over a
             filter's weights. arXiv:1906.10771
    Formula: s(w) = E_b[ (g_b w) ** 2 ], g_b the gradient of the mean loss of mini-batch b; a unit's score is the sum
    Shapes:  tensor (*) -> scores (*)
    Cost:    one forward and backward pass per batch; O(n) memory for n weights
    Differs: a plain mean over batches instead of the paper's running mean with momentum 0.9, since the weights stand
             still while evidence is collected

    Example:
        >>> Taylor.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("molchanov2019")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, SquaredGradient)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False, comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """w^2 times the mean squared gradient."""
        return evidence[Weight][tensor] ** 2 * evidence[SquaredGradient][tensor]
