"""Less is more: low rank and few filters at once, by a proximal step every few epochs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import (
    check_positive,
    group_factors,
    grouped,
    low_rank,
    norm_of,
    output_dim,
    regularizer,
    weights,
)


@regularizer("less_is_more")
@dataclass(frozen=True, kw_only=True)
class LessIsMore(Regularizer):
    """Nuclear norms of all weights and norms of filters, taken by forward-backward splitting.

    Paper:   Zhou, Alvarez, Porikli, *Less Is More: Towards Compact CNNs*, ECCV 2016, Sec. 3
    Formula: R = rank sum ||W||_* + strength sum sqrt(|g|) ||w_g||, W a weight as (outputs, rest), g its filters;
             singular values are soft-thresholded by tau rank, then filters by tau strength sqrt(|g|); tau is the sum of
             learning rates since the last time
    Shapes:  weights of convolutions and linear layers, in place
    Cost:    a singular value decomposition of every weight each time
    Differs: one unfolding of each weight; written from the facts known of the paper, without its code

    Attributes:
        rank: the charge on singular values.
        strength: the charge on filters.
        every: epochs between two steps.

    Example:
        >>> LessIsMore(rank=0.0).every
        1
    """

    rank: float = 1e-4
    strength: float = 1e-4
    every: int = 1
    takes: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("zhou2016")

    def __post_init__(self) -> None:
        check_positive(rank=self.rank, strength=self.strength, every=self.every)

    def start(self, at: Moment) -> None:
        """No learning rate was seen, no epoch passed."""
        at.memory["tau"] = torch.zeros((), dtype=torch.float64)
        at.memory["epochs"] = torch.zeros((), dtype=torch.int64)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable; it is taken by `after_epoch`, and so not added to the loss."""
        groups = grouped(at.graph, "filter")
        values = {name: at.value(name) for name in groups.tensors}
        norms = norm_of(groups.squares(values))
        nuclear = torch.stack([torch.linalg.svdvals(_unfolded(at, n, v)).sum() for n, v in values.items()]).sum()
        return self.rank * nuclear + self.strength * (groups.sizes.to(norms).sqrt() * norms).sum()

    def after_step(self, at: Moment) -> None:
        """Count learning rates."""
        at.memory["tau"] += at.lr

    def after_epoch(self, at: Moment) -> None:
        """Threshold singular values, then filters."""
        at.memory["epochs"] += 1
        if int(at.memory["epochs"]) % max(1, self.every):
            return
        tau, groups = float(at.memory["tau"]), grouped(at.graph, "filter")
        with torch.no_grad():
            values = {name: at.parameters[name].detach() for name in weights(at.graph)}
            for name, value in values.items():
                thin = low_rank(_unfolded(at, name, value), tau * self.rank)
                values[name] = _folded(at, name, thin, value)
            squares = groups.squares(values)
            factors = groups.spread(group_factors(squares, tau * self.strength * groups.sizes.to(squares).sqrt()))
            for name, value in values.items():
                at.parameters[name].copy_(value * factors[name])
        at.memory["tau"] = torch.zeros((), dtype=torch.float64)


def _unfolded(at: Moment, name: str, value: Tensor) -> Tensor:
    return value.movedim(output_dim(at.graph, name), 0).flatten(1)


def _folded(at: Moment, name: str, matrix: Tensor, like: Tensor) -> Tensor:
    dim = output_dim(at.graph, name)
    return matrix.view(like.movedim(dim, 0).shape).movedim(0, dim)
