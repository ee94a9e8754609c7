"""First-order effect of whole feature maps: how much would the loss move without this one?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion, received
from secateur.evidence import FeatureTaylor


@criterion("taylor2017")
@dataclass(frozen=True, kw_only=True)
class Taylor2017(UnitCriterion):
    """First-order Taylor importance of each feature map.

    Paper:   Molchanov et al., *Pruning Convolutional Neural Networks for Resource Efficient Inference*, ICLR 2017,
             Sec. 2.2. arXiv:1611.06440
    Formula: t_u = E_n[ | mean over places p of a_nup dL_n/da_nup | ]; s_u = t_u / || t ||_2 over the units of the group
    Shapes:  maps (examples, units, places) -> scores (units,)
    Cost:    one forward and backward pass per batch; O(units) memory beside it
    Differs: maps are taken where they are read, after activation and pooling; of several readers the mean counts; the
             paper's optional charge for MACs is left to the budget

    Attributes:
        normalize: divide by the l2 norm over the group, as the paper does before it ranks over layers.

    Example:
        >>> Taylor2017(normalize=False)
        Taylor2017(normalize=False)
    """

    normalize: bool = True
    paper: ClassVar[Paper | None] = Paper("molchanov2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (FeatureTaylor,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False, comparable=Scope.GLOBAL)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The mean effect of each map, over the norm of all."""
        found = received(group, evidence[FeatureTaylor], "taylor2017")
        return found / found.norm().clamp_min(1e-300) if self.normalize else found

    @classmethod
    def examples(cls) -> list[Taylor2017]:
        """With and without the norm."""
        return [cls(), cls(normalize=False)]
