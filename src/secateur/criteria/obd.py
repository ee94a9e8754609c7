"""Optimal brain damage: how much the loss would rise if this weight were zero, were the Hessian diagonal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import FisherDiagonal, GaussNewtonDiagonal, HessianDiagonal, Weight

_DIAGONALS: Mapping[str, type[Collector]] = {
    "gauss_newton": GaussNewtonDiagonal,
    "hutchinson": HessianDiagonal,
    "fisher": FisherDiagonal,
}


@criterion("obd")
@dataclass(frozen=True, kw_only=True)
class OBD(ElementCriterion):
    """Optimal brain damage.

    Paper:   LeCun, Denker, Solla, *Optimal Brain Damage*, NIPS 1989
    Formula: s(w) = h w^2 / 2, h the entry of the diagonal of the Hessian of the mean loss
    Shapes:  tensor (*) -> scores (*)
    Cost:    O(n) memory for n weights, and for "gauss_newton" as many backward passes per example as it has outputs;
             for "hutchinson" nine backward passes per batch; for "fisher" one per example
    Differs: "gauss_newton" is the exact diagonal of the Gauss-Newton matrix, where the paper sends second derivatives
             backwards layer by layer and drops, beside the terms that Gauss-Newton drops, those between the units of a
             layer. "hutchinson" estimates the diagonal of the true Hessian; what comes out negative counts as 0.
             "fisher" stands in squared gradients of single examples

    Attributes:
        hessian: where the diagonal comes from, "gauss_newton", "hutchinson" or "fisher".

    Example:
        >>> OBD(hessian="fisher").needs[1].__name__
        'FisherDiagonal'
    """

    hessian: Literal["gauss_newton", "hutchinson", "fisher"] = "gauss_newton"
    paper: ClassVar[Paper | None] = Paper("lecun1989")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, GaussNewtonDiagonal)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False, comparable=Scope.GLOBAL)

    def __post_init__(self) -> None:
        if self.hessian not in _DIAGONALS:
            raise IncompatibleError(f"hessian must be one of {', '.join(_DIAGONALS)}, got hessian={self.hessian!r}.")
        object.__setattr__(self, "needs", (Weight, _DIAGONALS[self.hessian]))

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """Half of h w^2."""
        diagonal = evidence[_DIAGONALS[self.hessian]][tensor].clamp_min(0)
        return evidence[Weight][tensor] ** 2 * diagonal / 2

    @classmethod
    def examples(cls) -> list[OBD]:
        """With a diagonal that is never negative; the estimated one differs in the evidence only."""
        return [cls(), cls(hessian="fisher")]
