"""Optimal brain surgeon, one weight at a time, with everything fitted again after each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.quadratic import alive, check_damping, damped, inverse, removal_losses
from secateur.criteria.base import criterion, inputs_of, rows_and_gram
from secateur.evidence import InputGram, Weight

#: Multiply-accumulates that one layer may take.
LIMIT = 4 * 10**11


@criterion("exact_obs")
@dataclass(frozen=True, kw_only=True)
class ExactOBS(ElementCriterion):
    """ExactOBS: in each row the least important weight goes, the others are fitted again, and so on until none is left.

    An entry's score is the loss at which it goes, and never less than the loss of one that went before it in its row.
    So the lowest k over all rows are the paper's global choice: k times the row whose next weight costs least. The
    weights that the trace would hold are those that `obs_update` finds for this choice.

    Paper:   Frantar, Singh, Alistarh, *Optimal Brain Compression*, NeurIPS 2022, Algorithm 1 and the
             global step. arXiv:2208.11580
    Formula: s = w_q^2 / (2 [H^-1]_qq) at the time at which q goes; then w -= w_q / [H^-1]_qq H^-1_:q, and
             H^-1 -= H^-1_:q H^-1_q: / [H^-1]_qq; H = 2 E[x x^T] of what the layer sees
    Shapes:  weight of a convolution or linear layer (out, *) -> scores (out, *)
    Cost:    rows entries^3, at most 4e11 for a layer; memory entries^2, 16 MiB at least
    Differs: H is damped by a share of its mean diagonal; convolutions with groups have an H for each

    Attributes:
        damping: what is added to the diagonal of H, as a share of its mean.
        n: with m, how many of every m neighbours stay; 0 for no pattern.
        m: see n.
        run: so many neighbours go together, 4 for blocks that processors can skip; 1 for single weights.

    Example:
        >>> ExactOBS(n=2, m=4)
        ExactOBS(damping=0.01, n=2, m=4, run=1)
    """

    damping: float = 0.01
    n: int = 0
    m: int = 0
    run: int = 1
    paper: ClassVar[Paper | None] = Paper("frantar2022")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)
    traits: ClassVar[Traits] = Traits(scale="equivariant", data_free=False)

    def __post_init__(self) -> None:
        check_damping(self.damping)
        if (self.n, self.m) != (0, 0) and not 0 < self.n < self.m:
            raise IncompatibleError(f"n of m must stay, 0 < n < m, got n={self.n!r}, m={self.m!r}. 2 of 4 is usual.")
        if self.run < 1 or (self.m and self.run > 1):
            raise IncompatibleError(
                f"run must be 1 or more, and 1 beside a pattern, got run={self.run!r}, m={self.m!r}."
            )

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """The loss at which each entry goes."""
        weight, gram = rows_and_gram(tensor, evidence)
        self._check(tensor, weight)
        matrix, weight = inverse(damped(gram, self.damping), inputs_of(tensor)), weight * alive(gram)
        found = [
            removal_losses(rows, back, run=self.run, bucket=self.m, most=self.m - self.n)
            for rows, back in zip(weight, matrix, strict=True)
        ]
        return torch.stack(found).view_as(evidence[Weight][tensor])

    def _check(self, tensor: str, weight: Tensor) -> None:
        _, rows, entries = weight.shape
        work, step = weight.numel() * entries**2, self.m or self.run
        if work > LIMIT:
            raise IncompatibleError(
                f"{tensor!r} has {weight.shape[0] * rows} rows of {entries} entries, and taking them out one by one "
                f"would be about {work:.0e} multiply-accumulates; {LIMIT:.0e} are allowed. "
                "Use sparsegpt, which goes through the columns once, or obs."
            )
        if entries % step:
            raise IncompatibleError(
                f"rows of {tensor!r} have {entries} entries, which do not divide by {step}. "
                "Leave this layer out, or choose another pattern."
            )

    @classmethod
    def examples(cls) -> list[ExactOBS]:
        """Single weights; a pattern does not fit every layer."""
        return [cls()]
