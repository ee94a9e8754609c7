"""Optimal brain surgeon over the whole network at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.quadratic import outer_inverse_diagonal
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import ExampleGradient, Weight

#: Parameters that the network may have.
LIMIT = 50_000


@criterion("obs_full")
@dataclass(frozen=True, kw_only=True)
class OBSFull(ElementCriterion):
    """Optimal brain surgeon with the Hessian of the whole network.

    Paper:   Hassibi, Stork, *Second Order Derivatives for Network Pruning: Optimal Brain Surgeon*, NIPS 1992
    Formula: s(w_q) = w_q^2 / (2 [H^-1]_qq), H = damping I + E_i[ g_i g_i^T ], g_i the gradient of example i in all
             parameters
    Shapes:  tensor (*) -> scores (*)
    Cost:    n N min(n, N) for n parameters, at most 50,000, and N examples, at most 1,024
    Differs: gradients of each example's loss, where the paper takes those of the outputs, for squared errors. The
             diagonal of the inverse is had at once instead of by a recursion over examples, and is the same. Weights
             are scored once, not again after each removal; `fisher_update` with block=0 moves the others

    Attributes:
        damping: the paper's alpha, 1e-8 to 1e-4.

    Example:
        >>> OBSFull()
        OBSFull(damping=0.0001)
    """

    damping: float = 1e-4
    paper: ClassVar[Paper | None] = Paper("hassibi1992")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, ExampleGradient)
    traits: ClassVar[Traits] = Traits(data_free=False, comparable=Scope.GLOBAL)

    def __post_init__(self) -> None:
        if not self.damping > 0:
            raise IncompatibleError(f"damping must be above 0, got damping={self.damping!r}. 1e-4 is usual.")

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """w^2 over twice the diagonal of the inverse."""
        found, weight = evidence[ExampleGradient], evidence[Weight][tensor]
        size = sum(g[0].numel() for g in found.values())
        if size > LIMIT:
            raise IncompatibleError(
                f"the Hessian of the whole network has {size} rows, and {LIMIT} are allowed. "
                "Use woodfisher, which takes blocks of it, or obs, which goes layer by layer."
            )
        # The tensor's own entries first.
        vectors = torch.cat([found[tensor].flatten(1), *(g.flatten(1) for n, g in found.items() if n != tensor)], 1)
        diagonal = outer_inverse_diagonal(vectors.double(), slice(weight.numel()), self.damping)
        return weight.double().square() / (2 * diagonal.view_as(weight))
