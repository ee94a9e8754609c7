"""Cosine similarity: a filter that points the way of another one is redundant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group, Role
from secateur.core.paper import Paper
from secateur.criteria.base import criterion, unit_rows
from secateur.evidence import Weight


@criterion("cosine")
@dataclass(frozen=True, kw_only=True)
class Cosine(UnitCriterion):
    """One minus the largest, or the mean, cosine similarity with the other filters of the group.

    Paper:   Ayinde and Zurada, *Building Efficient ConvNets using Redundant Feature Pruning*, ICLR Workshop 2018.
             arXiv:1802.07653
    Formula: s_i = 1 - max over j != i of cos(F_i, F_j), or the mean in place of the maximum; 0 for a filter of zeros
    Shapes:  filters (units, entries) -> scores (units,)
    Cost:    O(units^2 * entries) time, O(units) memory; no data
    Differs: the paper clusters filters whose similarity exceeds a threshold and keeps one of each cluster; here filters
             are ranked under a budget, and of two that agree neither is preferred. Where several producers share their
             channels, their filters are laid side by side

    Attributes:
        by: "max" or "mean".

    Example:
        >>> Cosine(by="mean").by
        'mean'
    """

    by: Literal["max", "mean"] = "max"
    paper: ClassVar[Paper | None] = Paper("ayinde2018")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(scale="invariant")

    def __post_init__(self) -> None:
        if self.by not in ("max", "mean"):
            raise IncompatibleError(f"by must be 'max' or 'mean', got by={self.by!r}.")

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The distance to the most similar filter, or the mean one."""
        rows = unit_rows(group, evidence[Weight], Role.PRODUCES)
        rows = rows if rows.shape[1] else unit_rows(group, evidence[Weight], *Role)
        length = rows.norm(dim=1, keepdim=True)
        alive = length[:, 0] > 0
        rows = rows / torch.where(length > 0, length, 1.0)
        scores = torch.zeros(group.units, dtype=torch.float64)
        for unit in alive.nonzero().flatten().tolist():
            # row by row, so that equal filters get equal numbers; a matrix product may round them differently
            others = (rows * rows[unit]).sum(1).clamp(-1, 1)[alive & (torch.arange(group.units) != unit)]
            if not len(others):
                scores[unit] = 1.0
            else:
                scores[unit] = 1 - (others.max() if self.by == "max" else others.mean())
        return scores

    @classmethod
    def examples(cls) -> list[Cosine]:
        """Both."""
        return [cls(by="max"), cls(by="mean")]
