"""Optimal brain surgeon, layer by layer: the error of a layer's outputs once the other weights have made up for one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.quadratic import alive, check_damping, damped, inverse
from secateur.criteria.base import criterion, inputs_of, rows_and_gram
from secateur.evidence import InputGram, Weight


@criterion("obs")
@dataclass(frozen=True, kw_only=True)
class OBS(ElementCriterion):
    """Layer-wise optimal brain surgeon (L-OBS).

    Paper:   Dong et al., *Learning to Prune Deep Neural Networks via Layer-wise Optimal Brain Surgeon*, NIPS 2017,
             Sec. 3. arXiv:1705.07565
    Formula: s(w_q) = w_q^2 / (2 [H^-1]_qq), H = 2 E[x x^T] of what the layer sees: the mean squared error of its
             outputs if w_q goes and the other weights of the row are fitted again
    Shapes:  weight of a convolution or linear layer (out, *) -> scores (out, *)
    Cost:    entries^3 for each layer and group; memory entries^2
    Differs: H is damped by a share of its mean diagonal, and inverted at once, where the paper builds the inverse up
             from a small multiple of the identity, example by example. Convolutions with groups have an H for each

    Attributes:
        damping: what is added to the diagonal of H, as a share of its mean.

    Example:
        >>> OBS(damping=0.1)
        OBS(damping=0.1)
    """

    damping: float = 0.01
    paper: ClassVar[Paper | None] = Paper("dong2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)
    traits: ClassVar[Traits] = Traits(scale="equivariant", data_free=False)

    def __post_init__(self) -> None:
        check_damping(self.damping)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """w^2 over the diagonal of the inverse of E[x x^T], nothing where x is always 0."""
        weight, gram = rows_and_gram(tensor, evidence)
        diagonal = inverse(damped(gram, self.damping), inputs_of(tensor)).diagonal(dim1=1, dim2=2).unsqueeze(1)
        return (weight.square() * alive(gram) / diagonal).view_as(evidence[Weight][tensor])
