"""ThiNet: channels go in the order in which the next layer misses them least."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.evidence import Evidence
from secateur.core.groups import Group
from secateur.core.paper import Paper
from secateur.criteria.base import contributions, criterion
from secateur.evidence import InputGram, Weight


@criterion("thinet")
@dataclass(frozen=True, kw_only=True)
class ThiNet(UnitCriterion):
    """Greedy choice of the channels whose loss changes the next layer's outputs least; the score is the turn to go.

    Paper:   Luo, Wu, Lin, *ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression*, ICCV 2017,
             Eq. 6 and Algorithm 1. arXiv:1707.06342
    Formula: T grows by argmin_c E[ || sum over T + c of z || ^ 2 ], z_c = W_c * x_c what channel c adds to the outputs
             of the next layer; with G = E[z z^T] the error of T is the sum of G over T x T; the first to go scores 0
    Shapes:  group -> scores (units,), each number from 0 to units - 1 once
    Cost:    outputs * entries^2 for each layer that reads the group, then units^2; memory of `InputGram`
    Differs: all outputs and places count instead of a random sample. Of a residual stream, which the paper leaves
             alone, the errors of all layers that read it are added. Rescaling what stays is a repair: `least_squares`

    Example:
        >>> ThiNet.traits.data_free
        False
    """

    paper: ClassVar[Paper | None] = Paper("luo2017")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)
    # Each unit has a turn of its own, among equals the higher number is earlier: so equal units score unequally.
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, permutation_equivariant=False, data_free=False)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The turn in which each unit goes."""
        moments = contributions(group, evidence)
        error = moments.diagonal().clone()  # of T and one unit more, apart from that of T
        turn = torch.zeros(group.units, dtype=torch.float64)
        for number in range(group.units):
            unit = group.units - 1 - int(error.flip(0).argmin())
            turn[unit] = number
            error += 2 * moments[unit]
            error[unit] = float("inf")
        return turn
