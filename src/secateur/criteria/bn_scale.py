"""Batch-norm scale: a channel that is multiplied by little matters little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group, Role
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion, unit_rows
from secateur.evidence import Weight


@criterion("bn_scale")
@dataclass(frozen=True, kw_only=True)
class BNScale(UnitCriterion):
    """Absolute value of the normalisation scale of each channel.

    Paper:   Liu et al., *Learning Efficient Convolutional Networks through Network Slimming*, ICCV 2017, Sec. 3.
             arXiv:1708.06519
    Formula: s_c = sum over the group's norms of |gamma_c|
    Shapes:  gamma (units,) -> scores (units,)
    Cost:    O(units); no data
    Differs: where several norms share their channels (a residual stream), their scales are added; the paper leaves
             such channels in and selects them by index

    Example:
        >>> BNScale.traits.data_free
        True
    """

    paper: ClassVar[Paper | None] = Paper("liu2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(scale="equivariant", comparable=Scope.GLOBAL)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Sum of |gamma| of each unit."""
        rows = unit_rows(group, evidence[Weight], Role.SCALES)
        if not rows.shape[1]:
            raise IncompatibleError(
                f"group {group.name!r} has no normalisation scale, so bn_scale cannot rank it. "
                f'Freeze it (frozen=["{group.name}"]) or choose another criterion, magnitude for instance.'
            )
        return rows.abs().sum(1)
