"""Thresholds in standard deviations of each block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from secateur.allocation.base import allocation, best_of_all
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.scores import Scores


@allocation("sigma_threshold")
@dataclass(frozen=True, kw_only=True)
class SigmaThreshold(Allocation):
    """Every block keeps what scores at least q standard deviations; one q for all, the lowest that fits the budget.

    Attributes:
        about: "zero": a unit stays if `s >= q * sigma`, sigma the root of the mean squared score, as Han 2015 does with
            the magnitudes of each layer's weights (whose mean is near zero); "mean": if `s >= mean + q * sigma`, sigma
            the deviation from the mean, as Hu 2016 does with the share of zeros.

    Scores of different blocks need not be comparable. Among equals every block keeps the same share.

    Cost: about 50 evaluations of the budget, and one sort.
    """

    about: Literal["zero", "mean"] = "zero"

    def __post_init__(self) -> None:
        if self.about not in ("zero", "mean"):
            raise IncompatibleError(f"about must be 'zero' or 'mean', got about={self.about!r}.")

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        return best_of_all({n: deviations(scores.values[n], about=self.about) for n in limits.blocks}, limits)

    @classmethod
    def examples(cls) -> list[SigmaThreshold]:
        """Both."""
        return [cls(about="zero"), cls(about="mean")]


def deviations(values: Tensor, *, about: Literal["zero", "mean"]) -> Tensor:
    """Each score of one block in standard deviations, from zero or from the mean; units long gone count for nothing."""
    finite = values[torch.isfinite(values)]
    if not finite.numel():
        return values
    centre = finite.mean() if about == "mean" else finite.new_zeros(())
    return (values - centre) / (finite - centre).square().mean().sqrt().clamp_min(1e-150)


def above(values: Tensor, q: float, *, about: Literal["zero", "mean"] = "zero") -> Tensor:
    """Which units score at least `q` standard deviations: a fixed threshold, whatever that leaves of a budget.

    `plan_by_hand(graph, {n: above(v, -1, about="mean") for n, v in scores.values.items()})` with scores of APoZ is the
    rule of Hu 2016: away with units whose share of zeros is more than one standard deviation above the mean.

    Args:
        values: `(units,)`, scores of one block.
        q: how many deviations; may be negative.
        about: what is measured from.

    Returns:
        Boolean `(units,)`, True = stays.
    """
    return deviations(values, about=about) >= q
