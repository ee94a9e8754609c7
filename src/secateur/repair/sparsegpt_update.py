"""SparseGPT's sweep: columns that stay make up for those to their left, all rows at once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Known, Repair
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.core.quadratic import alive, check_damping, damped, inverse_factor, swept
from secateur.evidence import InputGram
from secateur.repair.base import cuts, repair


@repair("sparsegpt_update")
@dataclass(frozen=True, kw_only=True)
class SparseGPTUpdate(Repair):
    """What SparseGPT makes of the weights that stay, for any choice of those that go.

    One factorisation for all rows, whatever they keep, where `obs_update` takes one for each: the rows' errors are
    larger, since what stands to the left of an entry that goes is not moved, and some of what is moved to the right
    goes later. For whole channels `obs_update` takes one factorisation as well, and is the better one; there this sweep
    can even leave more error than nothing does. It comes before `batch_norm`, and not with `fold_constant`.

    Paper:   Frantar, Alistarh, *SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot*, ICML 2023,
             Algorithm 1. arXiv:2301.00774
    Formula: with U^T U = H^-1, U upper triangular, H = E[x x^T] of what the dense layer sees: column by column,
             w_j -= (w_c / U_cc) U_cj for all j > c, where w_c goes
    Cost:    entries^3 + rows entries^2; memory 2 entries^2 in float64
    Differs: float64; the choice is given, that of the `sparsegpt` criterion or any other. Transposed convolutions and
             weights that layers share are left alone

    Attributes:
        block: columns that are updated one by one; it changes nothing but the time.
        damping: what is added to the diagonal of H, as a share of its mean.
    """

    block: int = 128
    damping: float = 0.01
    paper: ClassVar[Paper | None] = Paper("frantar2023")
    needs: ClassVar[tuple[type[Collector], ...]] = (InputGram,)

    def __post_init__(self) -> None:
        check_damping(self.damping)
        if self.block < 1:
            raise IncompatibleError(f"block must be 1 or more, got block={self.block!r}. 128 is fast.")

    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Write the swept weights into `student`.

        Raises:
            IncompatibleError: a bias was moved before.
        """
        grams = known.evidence[InputGram]
        found = [cut for cut in cuts(student, dense, plan) if cut.name in grams]
        moved = [cut.name for cut in found if bool(cut.shift.any())]
        if moved:
            raise IncompatibleError(
                f"the bias beside {moved[0]!r} was moved by another repair, and a sweep over the weights would make up "
                "for the mean a second time. Leave fold_constant out, or use obs_update, which knows of it."
            )
        for cut in found:
            gram = grams[cut.name].double()
            upper = inverse_factor(
                damped(gram, self.damping), f"the matrix of second moments of what {cut.name!r} sees"
            )
            changed, *_ = swept(cut.weight * alive(gram), upper, partial(_given, cut.keep), chunk=self.block)
            cut.write_(torch.where(alive(gram) > 0, changed, cut.weight))


def _given(keep: Tensor, start: int, scores: Tensor) -> Tensor:
    """Entries that stay of the columns from `start`, as many as there are scores for."""
    return keep[:, :, start : start + scores.shape[2]]
