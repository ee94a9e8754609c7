"""Channel independence: a map that the others can stand in for matters little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import criterion, received
from secateur.evidence import ChannelIndependence


@criterion("chip")
@dataclass(frozen=True, kw_only=True)
class CHIP(UnitCriterion):
    """By how much the nuclear norm of all maps falls without this one.

    Paper:   Sui et al., *CHIP: CHannel Independence-based Pruning for Compact Neural Networks*, NeurIPS 2021, Eq. 3.
             arXiv:2110.13981
    Formula: s_u = E_n[ |A_n|_* - |A_n without row u|_* ], A_n (units, places) the maps of example n
    Shapes:  maps (examples, units, places) -> scores (units,)
    Cost:    units + 1 singular value decompositions of (units, places) for each example
    Differs: maps are taken where they are read, after pooling; of several readers the mean counts. Each map's
             independence is measured alone, as the paper does in place of that of all sets of maps

    Example:
        >>> CHIP.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("sui2021")
    needs: ClassVar[tuple[type[Collector], ...]] = (ChannelIndependence,)
    traits: ClassVar[Traits] = Traits(data_free=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The mean fall of the norm."""
        return received(group, evidence[ChannelIndependence], "chip")
