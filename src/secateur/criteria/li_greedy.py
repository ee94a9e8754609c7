"""Filter norms, layer by layer: kernels that read maps already gone do not count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.criteria.base import criterion
from secateur.evidence import Weight


@criterion("li_greedy")
@dataclass(frozen=True, kw_only=True)
class LiGreedy(ElementCriterion):
    """L1 norms of what is left of each filter once the layers before it have been cut.

    Paper:   Li et al., *Pruning Filters for Efficient ConvNets*, ICLR 2017, Sec. 3.2 (greedy). arXiv:1608.08710
    Formula: s_j = sum over the kernels i of filter j whose input map i stays of |F_ij|
    Shapes:  tensor (*) -> scores (*)
    Cost:    O(n) for n weights and each block; no data
    Differs: nothing; how many filters each layer keeps is decided first, from the norms of whole filters

    Example:
        >>> LiGreedy.in_order
        True
    """

    paper: ClassVar[Paper | None] = Paper("li2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight,)
    traits: ClassVar[Traits] = Traits(scale="equivariant")
    in_order: ClassVar[bool] = True

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """|w| of every entry."""
        return evidence[Weight][tensor].abs()
