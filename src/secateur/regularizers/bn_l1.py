"""L1 on normalisation scales: training itself decides which channels to switch off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.errors import IncompatibleError
from secateur.core.groups import Role
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import regularizer


@regularizer("bn_l1")
@dataclass(frozen=True, kw_only=True)
class BNL1(Regularizer):
    """Absolute values of the normalisation scales of all groups that may be cut.

    Paper:   Liu et al., *Learning Efficient Convolutional Networks through Network Slimming*, ICCV 2017, Eq. 1.
             arXiv:1708.06519
    Formula: R = strength * sum |gamma|
    Cost:    O(channels) per step
    Differs: scales of groups that may not be cut are not charged

    Attributes:
        strength: lambda; the paper uses 1e-4 for VGG and 1e-5 for ResNet and DenseNet.
    """

    strength: float = 1e-4
    paper: ClassVar[Paper | None] = Paper("liu2017")

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise IncompatibleError(
                f"strength must be 0 or more, got strength={self.strength!r}. It is the price of |gamma|."
            )

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        total = torch.zeros((), device=next(at.model.parameters()).device)
        for slot in (s for g in at.graph.cuttable.values() for s in g.slots_with(Role.SCALES)):
            scales = at.value(slot.tensor)
            # Only the entries of this group: a norm over a concatenation also scales channels that may not be cut.
            total = total + scales.index_select(slot.dim, slot.index.flatten().to(total.device)).abs().sum()
        return self.strength * total
