"""Mean activation: a unit that says little matters little."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import criterion, received
from secateur.evidence import InputAbsolute


@criterion("mean_activation")
@dataclass(frozen=True, kw_only=True)
class MeanActivation(UnitCriterion):
    """Mean absolute activation of each unit.

    Paper:   Molchanov et al., *Pruning Convolutional Neural Networks for Resource Efficient Inference*, ICLR 2017,
             Sec. 2.2 (activation). arXiv:1611.06440
    Formula: s_u = mean over examples and places of | a_u |
    Shapes:  maps (examples, units, places) -> scores (units,)
    Cost:    one forward pass per batch
    Differs: the absolute value, which changes nothing behind ReLU; maps are taken where they are read, after pooling;
             of several readers the mean counts

    Example:
        >>> MeanActivation.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("molchanov2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (InputAbsolute,)
    traits: ClassVar[Traits] = Traits(data_free=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The mean."""
        return received(group, evidence[InputAbsolute], "mean_activation")
