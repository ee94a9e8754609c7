"""Fit the weights that stay, row by row, so that a layer's outputs change as little as they can."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from secateur.core.contracts import Collector, Known, Repair
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.core.quadratic import check_damping, damped, fitted
from secateur.evidence import InputGram, PatchMean
from secateur.repair.base import check_work, cuts, repair


@repair("obs_update")
@dataclass(frozen=True, kw_only=True)
class OBSUpdate(Repair):
    """The weights of each row that change its outputs least, given which of them are zero.

    It is the closed form of what the optimal brain surgeon's updates come to, one after another, in any order. Biases
    stay; where `fold_constant` has moved one before, only what it left is fitted. So it comes after `fold_constant` and
    before `batch_norm`.

    Paper:   Hassibi, Stork, *Second Order Derivatives for Network Pruning: Optimal Brain Surgeon*, NIPS 1992, for each
             row of a layer as Dong et al., 2017, have it. arXiv:1705.07565
    Formula: w_K += H_KK^-1 (H_KP w_P - m_K b), P what goes, K what stays, H = E[x x^T] and m = E[x] of what the dense
             layer sees, b by how much its bias was moved
    Cost:    |K|^3 / 3 for each set of kept entries (one set for whole channels, one for each row where single weights
             go), at most 4e12 for a layer; memory entries^2
    Differs: at once for all that go, with exactly those zero. H is damped by a share of its mean diagonal, towards the
             dense weights. Transposed convolutions and weights that layers share are left alone, and rows that went as
             a whole stay zero

    Attributes:
        damping: what is added to the diagonal of H, as a share of its mean.
    """

    damping: float = 0.01
    paper: ClassVar[Paper | None] = Paper("hassibi1992")
    needs: ClassVar[tuple[type[Collector], ...]] = (InputGram, PatchMean)

    def __post_init__(self) -> None:
        check_damping(self.damping)

    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Write the fitted weights into `student`."""
        grams, means = known.evidence[InputGram], known.evidence[PatchMean]
        found = [cut for cut in cuts(student, dense, plan) if cut.name in grams]
        check_work(found)
        for cut in found:
            gram, mean = grams[cut.name].double(), means[cut.name].double()
            lost = cut.weight.masked_fill(cut.keep, 0) @ gram - cut.shift.unsqueeze(2) * mean.unsqueeze(1)
            change = fitted(
                damped(gram, self.damping), lost, cut.keep, f"the matrix of second moments of what {cut.name!r} sees"
            )
            cut.write_(cut.weight + change)
