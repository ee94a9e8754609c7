"""Synaptic flow: how much runs through this weight, whatever the data?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import SynapticFlow


@criterion("synflow")
@dataclass(frozen=True, kw_only=True)
class SynFlow(ElementCriterion):
    """Flow from an input of ones through the absolute weights.

    Paper:   Tanaka et al., *Pruning Neural Networks without Any Data by Iteratively Conserving Synaptic Flow*, NeurIPS
             2020, Alg. 1. arXiv:2006.05467
    Formula: s(w) = | w dR/dw |, R the sum of all outputs for an input of ones once parameters and buffers are replaced
             by their absolute values; a unit's score is the sum
    Shapes:  tensor (*) -> scores (*)
    Cost:    one forward and backward pass in float64; no data
    Differs: nothing in the score. The paper prunes in 100 rounds and scores anew in each, which is the recipe
             `synflow`; one round alone loses what the method is for

    Example:
        >>> SynFlow.traits.data_free
        True
    """

    paper: ClassVar[Paper | None] = Paper("tanaka2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (SynapticFlow,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, comparable=Scope.GLOBAL)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """|w dR/dw| of every entry."""
        return evidence[SynapticFlow][tensor]
