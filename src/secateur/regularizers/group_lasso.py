"""Group lasso: whole groups of weights are driven to zero together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_choice, check_positive, grouped, norm_of, regularizer


@regularizer("group_lasso")
@dataclass(frozen=True, kw_only=True)
class GroupLasso(Regularizer):
    """Norms of groups of weights: filters, channels, shapes (fibres), whole blocks, or all that goes with a channel.

    Paper:   Wen et al., *Learning Structured Sparsity in Deep Neural Networks*, NIPS 2016, Eq. 2 to 5.
             arXiv:1608.03665; shapes are the groups of Lebedev and Lempitsky, CVPR 2016. arXiv:1506.02515
    Formula: R = strength * sum over groups g of sqrt(|g|) ||w_g||_2
    Shapes:  weights of any shape -> one number
    Cost:    O(weights) per step
    Differs: every norm is weighted with the root of the group's size, so that large groups are not favoured. Where a
             norm follows, it undoes the scale of filters: charge `bn_l1` or groups="unit" there, which holds its scales

    Attributes:
        strength: lambda.
        groups: "filter" (what makes one output), "channel" (what reads one input), "shape" (what all outputs read from
            one place of the input), "depth" (a residual block; a layer, where there are no blocks), "unit" (everything
            that goes with a channel, whose groups overlap).

    Example:
        >>> GroupLasso(groups="shape").groups
        'shape'
    """

    strength: float = 1e-4
    groups: str = "filter"
    paper: ClassVar[Paper | None] = Paper("wen2016")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength)
        check_choice(("filter", "channel", "shape", "depth", "unit"), groups=self.groups)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        groups = grouped(at.graph, self.groups)
        norms = norm_of(groups.squares({name: at.value(name) for name in groups.tensors}))
        return self.strength * (groups.sizes.to(norms).sqrt() * norms).sum()

    @classmethod
    def examples(cls) -> list[GroupLasso]:
        """Every kind of group."""
        return [cls(groups=by) for by in ("filter", "channel", "shape", "depth", "unit")]
