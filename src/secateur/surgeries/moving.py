"""Moving: masks follow the movement of weights while they are fine-tuned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from secateur.core.contracts import Surgery
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_every, check_shares, every, surgery


@surgery("moving")
@dataclass(frozen=True, kw_only=True)
class Moving(Surgery):
    """Movement pruning: scores are learned by straight-through gradients while the mask that they make is in force.

    Paper:   Sanh, Wolf, Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, NeurIPS 2020, Sec. 4 and Eq. 5.
             arXiv:2005.07683
    Formula: S <- S - lr dL/dW W after every step; the weights with the highest S stay, as many as the schedule says
    Shapes:  any granularity; the scores of a unit's entries add up
    Cost:    memory for one more number for each weight; one sort at every revision
    Differs: scores are moved with the learning rate of the weights, and masks are revised every so many steps and not
             after each

    Attributes:
        end: share of the training after which masks stay as they are.
        every: steps between revisions; 0 revises at the end of every epoch.

    Example:
        >>> Moving().straight_through
        True
    """

    end: float = 0.7
    every: int = 50
    straight_through: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("sanh2020")

    def __post_init__(self) -> None:
        check_shares(end=self.end)
        check_every(self.every)

    def start(self, at: Moment) -> None:
        """All scores begin at zero."""
        for name, parameter in at.parameters.items():
            if parameter.requires_grad:
                at.memory[name] = torch.zeros_like(parameter, requires_grad=False)

    def watch(self, at: Moment) -> None:
        """Move the scores."""
        with torch.no_grad():
            for name, score in at.memory.items():
                if at.parameters[name].grad is not None:
                    score.sub_(at.lr * at.gradient(name) * at.parameters[name])

    def due(self, at: Moment) -> bool:
        """Every so many steps, until masks are frozen."""
        last = round(self.end * at.steps)
        return (at.step == last and not at.ended) or (at.step < last and every(at, self.every))

    def revise(self, at: Moment) -> PruningPlan:
        """The weights that moved away from zero; others may come back."""
        last = round(self.end * at.steps)
        return at.plan_for(at.keep(min(1.0, at.step / last)), saliency=at.memory, again=True)
