"""Rank of feature maps: maps of low rank say little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import criterion, received
from secateur.evidence import FeatureRank


@criterion("hrank")
@dataclass(frozen=True, kw_only=True)
class HRank(UnitCriterion):
    """Average rank of each unit's feature map.

    Paper:   Lin et al., *HRank: Filter Pruning using High-Rank Feature Map*, CVPR 2020, Eq. 4. arXiv:2002.10179
    Formula: s_u = E_n[ rank of the map a_nu, a matrix (height, width) ]
    Shapes:  maps (examples, units, height, width) -> scores (units,)
    Cost:    one singular value decomposition for each map and example
    Differs: maps are taken where they are read, after pooling; of several readers the mean counts. A map without places
             has rank 0 or 1, so for linear layers this is how often a unit is on

    Example:
        >>> HRank.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("lin2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (FeatureRank,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The mean rank."""
        return received(group, evidence[FeatureRank], "hrank")
