"""Soft: what is pruned is set to zero and trains on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.contracts import Surgery
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_every, every, surgery


@surgery("soft")
@dataclass(frozen=True, kw_only=True)
class Soft(Surgery):
    """Soft filter pruning: after every epoch the least filters are set to zero, and all of them go on training.

    With a one-shot schedule every epoch prunes as much as the last (SFP); with `exponential` the share falls over the
    epochs (asymptotic SFP).

    Paper:   He et al., *Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks*, IJCAI 2018,
             Algorithm 1. arXiv:1808.06866
    Formula: W_j <- 0 for the filters j that the plan removes, at the end of every epoch; W trains on, all of it
    Shapes:  any granularity; of channels, the weights that make them are set to zero, not what reads them
    Cost:    one score of the network every epoch
    Differs: how many filters go follows from the budget, by the recipe's allocation, where the paper takes the same
             share of every layer; momentum of what was set to zero is forgotten. In front of a batch norm a filter at
             zero gets gradients 1 / sqrt(eps) times as large, about 300 times, and at the learning rate of a training
             from scratch comes back larger than all others: start from a trained network, at a small one

    Attributes:
        every: steps between revisions; 0 revises at the end of every epoch.

    Example:
        >>> Soft().holds
        False
    """

    every: int = 0
    holds: ClassVar[bool] = False
    paper: ClassVar[Paper | None] = Paper("he2018soft")

    def __post_init__(self) -> None:
        check_every(self.every)

    def due(self, at: Moment) -> bool:
        """At the end of every epoch, and of the training."""
        return every(at, self.every) or (at.step == at.steps and not at.ended)

    def revise(self, at: Moment) -> PruningPlan:
        """The least of all units, those that were set to zero before like any others."""
        return at.plan_for(at.keep(at.t), again=True)
