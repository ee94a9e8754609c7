"""Gradual: hard masks that tighten while the network trains, as the schedule says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.contracts import Surgery
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_span, due_between, gone_between, surgery


@surgery("gradual")
@dataclass(frozen=True, kw_only=True)
class Gradual(Surgery):
    """Automated gradual pruning: what is removed stays removed, and more goes every so many steps.

    Paper:   Zhu and Gupta, *To Prune, or Not to Prune*, ICLR Workshop 2018, Sec. 3. arXiv:1710.01878
    Formula: at step n the schedule's share keep((n / steps - begin) / (end - begin)) of the budget is kept
    Shapes:  any granularity that can be masked
    Cost:    one score of the network at every revision; training is otherwise as it was
    Differs: any criterion, granularity and allocation, where the paper ranks single weights of each layer by magnitude

    Attributes:
        begin: share of the training before the first revision.
        end: share of the training after which masks stay as they are; the rest recovers.
        every: steps between revisions; 0 revises at the end of every epoch. The paper found 100 to 1000 to do alike.

    Example:
        >>> Gradual(end=0.5).straight_through
        False
    """

    begin: float = 0.0
    end: float = 0.7
    every: int = 100
    paper: ClassVar[Paper | None] = Paper("zhu2018")

    def __post_init__(self) -> None:
        check_span(self.begin, self.end, self.every)

    def due(self, at: Moment) -> bool:
        """Every so many steps while pruning goes on, and once at its end."""
        return due_between(at, self.begin, self.end, self.every)

    def revise(self, at: Moment) -> PruningPlan:
        """What the schedule leaves now, within what was left before."""
        return at.plan_for(at.keep(gone_between(at, self.begin, self.end)))
