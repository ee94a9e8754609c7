"""Movement: weights that training drives towards zero matter little, whatever their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import Trajectory


@criterion("movement")
@dataclass(frozen=True, kw_only=True)
class Movement(ElementCriterion):
    """Movement away from zero along a training trajectory.

    Paper:   Sanh, Wolf, Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, NeurIPS 2020, Eq. 5 (the scores
             that straight-through training accumulates). arXiv:2005.07683
    Formula: s(w) = - sum_t w_t g_t over steps of SGD. High scores stay. Scores have signs; a unit's score is the sum
    Shapes:  tensor (*) -> scores (*)
    Cost:    one forward and backward pass per batch; O(n) memory for n weights
    Differs: the trajectory is that of the unmasked network, one step of plain SGD (learning rate 0.001, eval mode) for
             each calibration batch; the paper learns scores while the mask that they make is in force, through all of
             fine-tuning

    Example:
        >>> Movement.traits.zero_is_least
        False
    """

    paper: ClassVar[Paper | None] = Paper("sanh2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (Trajectory,)
    traits: ClassVar[Traits] = Traits(zero_is_least=False, data_free=False, comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """Minus the sum of w g of every entry."""
        return evidence[Trajectory][tensor]
