"""ADMM: weights are drawn towards their own pruned selves, and the pull grows where they resist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Regularizer
from secateur.core.errors import IncompatibleError
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.regularizers.base import check_positive, regularizer, silenced


@regularizer("admm")
@dataclass(frozen=True, kw_only=True)
class ADMM(Regularizer):
    """Alternating direction method of multipliers, with the recipe's plan as the projection.

    Paper:   Zhang et al., *A Systematic DNN Weight Pruning Framework Using Alternating Direction Method of
             Multipliers*, ECCV 2018, Sec. 3. arXiv:1804.03294
    Formula: R = rho / 2 sum ||W - Z + U||^2; every so many epochs Z <- P(W + U), U <- U + W - Z, rho <- growth rho,
             U <- U / growth. P sets to zero what a plan with scores (W + U)^2 removes; at first Z = P(W), U = 0
    Shapes:  every parameter that a plan may silence: single weights, or all that goes with a channel
    Cost:    O(weights) per step and two weights' worth of memory; a plan at every update
    Differs: how many weights each layer keeps follows from the budget, by the recipe's allocation, where the paper sets
             it by hand; with a schedule the share falls in the course of the training (progressive). What is near zero
             in the end goes with the recipe's cut, and fine-tuning is the masked retraining

    Attributes:
        rho: the pull at first; the papers use 1e-3 to 1e-2.
        growth: what rho is multiplied with at every update.
        ceiling: rho grows no further.
        every: epochs between updates.

    Example:
        >>> ADMM().every
        1
    """

    rho: float = 1e-2
    growth: float = 1.5
    ceiling: float = 1.0
    every: int = 1
    paper: ClassVar[Paper | None] = Paper("zhang2018admm")

    def __post_init__(self) -> None:
        check_positive(rho=self.rho, ceiling=self.ceiling)
        if self.growth < 1 or self.every < 1:
            raise IncompatibleError(
                f"growth and every must be 1 or more, got growth={self.growth!r}, every={self.every!r}. "
                "rho rises at every update, and updates come every so many epochs."
            )

    def start(self, at: Moment) -> None:
        """Z is the network as a plan would leave it now, U is zero."""
        weights = {name: p.detach() for name, p in at.parameters.items()}
        plan = self._plan(at, weights)
        for name, z in _projected(plan, {name: weights[name] for name in silenced(plan)}).items():
            at.memory[f"z:{name}"] = z
            at.memory[f"u:{name}"] = torch.zeros_like(z)
        at.memory["rho"] = torch.tensor(self.rho, dtype=torch.float64)
        at.memory["epochs"] = torch.zeros((), dtype=torch.int64)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        names = [name[2:] for name in at.memory if name.startswith("z:")]
        gaps = [(at.value(n) - at.memory[f"z:{n}"] + at.memory[f"u:{n}"]).square().sum() for n in names]
        return 0.5 * float(at.memory["rho"]) * torch.stack(gaps).sum()

    def after_epoch(self, at: Moment) -> None:
        """Project, and add to U what the weights still differ from the projection."""
        at.memory["epochs"] += 1
        if int(at.memory["epochs"]) % self.every:
            return
        duals = {name[2:]: u for name, u in at.memory.items() if name.startswith("u:")}
        weights = {name: p.detach() for name, p in at.parameters.items()}
        drawn = {name: w + duals[name] if name in duals else w for name, w in weights.items()}
        before = float(at.memory["rho"])
        after = max(before, min(self.ceiling, before * self.growth))
        for name, z in _projected(self._plan(at, drawn), {name: drawn[name] for name in duals}).items():
            at.memory[f"z:{name}"] = z
            at.memory[f"u:{name}"] = (drawn[name] - z) * (before / after if after else 1.0)
        at.memory["rho"] = torch.tensor(after, dtype=torch.float64)

    @classmethod
    def examples(cls) -> list[ADMM]:
        """Rising, and as it is."""
        return [cls(), cls(growth=1.0, every=2)]

    def _plan(self, at: Moment, values: Mapping[str, Tensor]) -> PruningPlan:
        return at.plan_for(at.keep(at.t), saliency={name: value.square() for name, value in values.items()}, again=True)


def _projected(plan: PruningPlan, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    masks = plan.masks()
    return {name: v * masks[name].to(v) if name in masks else v.clone() for name, v in values.items()}
