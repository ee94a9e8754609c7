"""Average percentage of zeros: a unit that is mostly off matters little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import criterion, received
from secateur.evidence import InputZeros


@criterion("apoz")
@dataclass(frozen=True, kw_only=True)
class APoZ(UnitCriterion):
    """Share of places and examples where a unit is not zero: one minus APoZ.

    Paper:   Hu et al., *Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures*,
             2016, Eq. 1. arXiv:1607.03250
    Formula: s_u = 1 - APoZ_u, APoZ_u the share of zeros in the maps of unit u over examples and places
    Shapes:  maps (examples, units, places) -> scores (units,)
    Cost:    one forward pass per batch
    Differs: maps are taken where they are read, after pooling; of several readers the mean counts. Units are ranked
             under a budget; the paper's rule, all with an APoZ of more than one standard deviation above the mean, is
             `secateur.allocation.above(scores, -1, about="mean")`. Activations that are never exactly zero (GELU) make
             all scores one

    Example:
        >>> APoZ.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("hu2016")
    needs: ClassVar[tuple[type[Collector], ...]] = (InputZeros,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The share of what is not zero."""
        return 1 - received(group, evidence[InputZeros], "apoz")
