"""Optimal brain surgeon with an empirical Fisher matrix in blocks."""

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


@criterion("woodfisher")
@dataclass(frozen=True, kw_only=True)
class WoodFisher(ElementCriterion):
    """WoodFisher saliency: the optimal brain surgeon's, with blocks of the empirical Fisher matrix for a Hessian.

    Paper:   Singh, Alistarh, *WoodFisher: Efficient Second-Order Approximation for Neural Network Compression*,
             NeurIPS 2020. arXiv:2004.14340
    Formula: s(w_q) = w_q^2 / (2 [F^-1]_qq), F = damping I + E_i[ g_i g_i^T ] within each block of `block` neighbours
             of a tensor, 0 between blocks
    Shapes:  tensor (*) -> scores (*)
    Cost:    for n weights and N examples n N min(block, N); memory n N for the gradients, at most 512 MiB
    Differs: the same inverse by one factorisation for each block (of the smaller of its two sides) instead of N updates
             of rank one; gradients of single examples, at most 1,024, and not of small batches

    Attributes:
        block: entries of one block.
        damping: what is added to the diagonal.

    Example:
        >>> WoodFisher(block=2000)
        WoodFisher(block=2000, damping=1e-05)
    """

    block: int = 1024
    damping: float = 1e-5
    paper: ClassVar[Paper | None] = Paper("singh2020")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, ExampleGradient)
    # In another order, other entries meet in a block.
    traits: ClassVar[Traits] = Traits(permutation_equivariant=False, data_free=False, comparable=Scope.GLOBAL)

    def __post_init__(self) -> None:
        if self.block < 1 or not self.damping > 0:
            raise IncompatibleError(
                f"block must be 1 or more and damping above 0, got block={self.block!r}, damping={self.damping!r}."
            )

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """w^2 over twice the diagonal of the inverse, block by block."""
        gradients, weight = evidence[ExampleGradient][tensor].flatten(1), evidence[Weight][tensor]
        parts = [
            outer_inverse_diagonal(part.double(), slice(None), self.damping) for part in gradients.split(self.block, 1)
        ]
        return weight.double().square() / (2 * torch.cat(parts).view_as(weight))
