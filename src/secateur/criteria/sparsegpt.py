"""SparseGPT: one sweep over the columns, each choice made on weights that earlier columns have moved already."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, ElementCriterion, Traits
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.quadratic import alive, check_damping, damped, inverse_factor, swept
from secateur.criteria.base import criterion, inputs_of, rows_and_gram
from secateur.evidence import InputGram, Weight


@criterion("sparsegpt")
@dataclass(frozen=True, kw_only=True)
class SparseGPT(ElementCriterion):
    """SparseGPT's choice of weights.

    The choice in a block of columns depends on what went in the blocks before it, so the criterion must know how much
    stays. Entries that the paper would keep score 1 to 2 and the others 0 to 1, in each block in the order of its
    saliencies: a plan that keeps the same share of every layer (`Uniform`, budget in units) keeps exactly them.
    `sparsegpt_update` finds the weights that go with the choice.

    Paper:   Frantar, Alistarh, *SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot*, ICML 2023,
             Algorithm 1. arXiv:2301.00774
    Formula: with U^T U = H^-1, U upper triangular, H = E[x x^T] of what the layer sees: in each block of columns the
             entries with the largest (w_c / U_cc)^2 stay; then, column by column, w_j -= (w_c / U_cc) U_cj for those
             that go
    Shapes:  weight of a convolution or linear layer (out, *) -> scores (out, *)
    Cost:    entries^3 + rows entries^2; memory 2 entries^2 in float64
    Differs: float64; exactly the share asked for stays, where the paper's code removes up to one entry more per block;
             damping is a share of the mean over inputs that are ever seen; convolutions with groups have an H for each

    Attributes:
        keep: the share that stays; `decide` and `compress` put that of the budget here.
        n: with m, how many of every m neighbours stay, in place of `keep`; 0 for no pattern.
        m: see n.
        block: columns that are chosen from at a time.
        damping: what is added to the diagonal of H, as a share of its mean.

    Example:
        >>> SparseGPT(n=2, m=4)
        SparseGPT(keep=0.5, n=2, m=4, block=128, damping=0.01)
    """

    keep: float = 0.5
    n: int = 0
    m: int = 0
    block: int = 128
    damping: float = 0.01
    paper: ClassVar[Paper | None] = Paper("frantar2023")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)
    # Columns in another order make up for each other in another order.
    traits: ClassVar[Traits] = Traits(scale="invariant", permutation_equivariant=False, data_free=False)

    def __post_init__(self) -> None:
        check_damping(self.damping)
        if not 0 <= self.keep <= 1 or self.block < 1:
            raise IncompatibleError(
                f"keep must be in 0 to 1 and block 1 or more, got keep={self.keep!r}, block={self.block!r}."
            )
        if (self.n, self.m) != (0, 0) and not 0 < self.n < self.m:
            raise IncompatibleError(f"n of m must stay, 0 < n < m, got n={self.n!r}, m={self.m!r}. 2 of 4 is usual.")

    def of_share(self, keep: float) -> SparseGPT:
        """With that share."""
        return replace(self, keep=keep)

    def saliency(self, tensor: str, evidence: Evidence) -> Tensor:
        """1 to 2 for what stays, 0 to 1 for what goes."""
        weight, gram = rows_and_gram(tensor, evidence)
        if self.m and weight.shape[2] % self.m:
            raise IncompatibleError(
                f"rows of {tensor!r} have {weight.shape[2]} entries, which do not divide by {self.m}. "
                "Leave this layer out, or choose another pattern."
            )
        upper = inverse_factor(damped(gram, self.damping), inputs_of(tensor))
        chunk = max(self.block // self.m, 1) * self.m if self.m else self.block
        choose = self._of_neighbours if self.m else self._of_block
        _, keep, found = swept(weight * alive(gram), upper, choose, chunk=chunk, every=self.m)
        # Among those that stay or go the order is the saliency's, as a share of the largest it was compared with.
        width = self.m or self.block
        parts = [part / part.amax((2,) if self.m else (1, 2), True).clamp_min(1e-300) for part in found.split(width, 2)]
        return (torch.cat(parts, 2) + keep).view_as(evidence[Weight][tensor])

    def _of_neighbours(self, _: int, scores: Tensor) -> Tensor:
        """The best n of each row of `(groups, rows, m)`."""
        return _best(scores, torch.full(scores.shape[:2], self.n))

    def _of_block(self, start: int, scores: Tensor) -> Tensor:
        """The share of `(groups, rows, width)` that stays, group by group; over all blocks roundings cancel."""
        groups, rows, width = scores.shape
        ends = groups * rows * start + torch.arange(groups + 1) * rows * width
        counts = (ends * self.keep + 1e-9).long().diff()
        return _best(scores.flatten(1), counts).view_as(scores)


def _best(scores: Tensor, counts: Tensor) -> Tensor:
    """The highest `counts` of each last dim; among equals, lower places stay."""
    order = torch.sort(scores, descending=True, stable=True, dim=-1).indices
    place = torch.arange(scores.shape[-1]).expand_as(scores)
    return torch.zeros_like(scores, dtype=torch.bool).scatter_(-1, order, place < counts.unsqueeze(-1))
