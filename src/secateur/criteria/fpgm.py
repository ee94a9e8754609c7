"""Geometric median: a filter that the others can replace matters little, however large it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group, Role
from secateur.core.paper import Paper
from secateur.criteria.base import criterion, unit_rows
from secateur.evidence import Weight


@criterion("fpgm")
@dataclass(frozen=True, kw_only=True)
class FPGM(UnitCriterion):
    """Sum of distances from each filter to all others; the least is nearest to the geometric median.

    Paper:   He et al., *Filter Pruning via Geometric Median*, CVPR 2019, Eq. 4. arXiv:1811.00250
    Formula: s_i = sum_j || F_i - F_j ||_2
    Shapes:  filters (units, entries) -> scores (units,)
    Cost:    O(units^2 * entries) time, O(units^2) memory; no data
    Differs: where several producers share their channels, their filters are laid side by side

    Example:
        >>> FPGM.traits.zero_is_least
        False
    """

    paper: ClassVar[Paper | None] = Paper("he2019")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(scale="equivariant", zero_is_least=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Row sums of the distance matrix."""
        rows = unit_rows(group, evidence[Weight], Role.PRODUCES)
        if not rows.shape[1]:
            rows = unit_rows(group, evidence[Weight], *Role)
        # The direct formula, not the expanded one: the latter loses half of the digits where filters nearly agree.
        return torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
