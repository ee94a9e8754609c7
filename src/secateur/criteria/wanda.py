"""Weights times the size of what they meet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion, seen
from secateur.evidence import InputNorm, Weight


@criterion("wanda")
@dataclass(frozen=True, kw_only=True)
class Wanda(ElementCriterion):
    """Pruning by weights and activations.

    Paper:   Sun et al., *A Simple and Effective Pruning Approach for Large Language Models*, ICLR 2024, Eq. 1.
             arXiv:2306.11695
    Formula: s(w_ij) = |w_ij| ||X_j||_2, X_j entry j of all that the layer sees; compared within each row only
    Shapes:  weight of a convolution or linear layer (out, *) -> scores (out, *)
    Cost:    one forward pass per batch; O(n)
    Differs: convolutions too, where X_j is an entry of a patch

    Example:
        >>> Wanda.traits.comparable.name
        'ROW'
    """

    paper: ClassVar[Paper | None] = Paper("sun2024")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputNorm)
    traits: ClassVar[Traits] = Traits(scale="equivariant", data_free=False, comparable=Scope.ROW)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """|w| times the norm of what it meets."""
        norms, weight = seen(InputNorm, tensor, evidence), evidence[Weight][tensor]
        rows = weight.double().abs().reshape(len(norms), -1, norms.shape[1])
        return (rows * norms.unsqueeze(1)).view_as(weight)
