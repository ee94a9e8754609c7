"""Dynamic network surgery: pruned weights go on learning behind the mask, and splice back in when they grow."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from secateur.core.contracts import Surgery
from secateur.core.errors import IncompatibleError
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.surgeries.base import check_shares, surgery


@surgery("dynamic")
@dataclass(frozen=True, kw_only=True)
class Dynamic(Surgery):
    """Dynamic network surgery: masks with hysteresis around fixed thresholds, revised at random moments.

    Paper:   Guo, Yao, Chen, *Dynamic Network Surgery for Efficient DNNs*, NIPS 2016, Eq. 3 and Algorithm 1; the
             thresholds and the probability are those of the authors' published code. arXiv:1608.04493
    Formula: T = 0 where |W| < 0.9 h, 1 where |W| >= 1.1 h, as before in between; a step revises with probability
             (1 + gamma step) ** -power. Gradients reach all of W, masked or not.
             With c: h = max(mean + c std, 0) of |W| in each layer before training. With c = 0, h is chosen so that the
             budget's share of each block, as the allocation gives it, lies above h before training
    Shapes:  any granularity of weights or channels; a unit's size is what the granularity makes of |W|
    Cost:    one score of the network at every revision; two weights' worth of memory
    Differs: thresholds may follow from a budget; what remains in the end depends on training, as in the paper

    Attributes:
        c: standard deviations above the mean, for every layer alike; 0 takes thresholds from the budget.
        gamma: how fast revisions become rare.
        power: exponent of the same.
        until: share of the training after which masks stay as they are.

    Example:
        >>> Dynamic().straight_through
        True
    """

    c: float = 0.0
    gamma: float = 1e-4
    power: float = 1.0
    until: float = 0.75
    straight_through: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("guo2016")

    def __post_init__(self) -> None:
        check_shares(until=self.until)
        if self.gamma < 0 or self.power < 0:
            raise IncompatibleError(
                f"gamma and power must be 0 or more, got gamma={self.gamma!r}, power={self.power!r}. "
                "Revisions become rarer, not more frequent."
            )

    def start(self, at: Moment) -> PruningPlan:
        """Fix the thresholds; the first masks are those that cut at them."""
        assert at.budget is not None
        first = at.plan_for(at.budget.keep)
        sizes = _sizes(at, first)
        for name, size in sizes.items():
            width = first.width(name)
            if self.c:
                threshold = size.mean() + self.c * size.std(unbiased=False)
            else:
                ordered = size.sort(descending=True).values
                threshold = (
                    0.5 * (ordered[width - 1] + ordered[width]) if width < len(ordered) else ordered.new_zeros(())
                )
            at.memory[name] = threshold.clamp(min=0)
        return _alive(at, first, {name: size >= at.memory[name] for name, size in sizes.items()})

    def due(self, at: Moment) -> bool:
        """With a probability that falls, until masks are frozen."""
        if at.ended or at.step > self.until * at.steps:
            return False
        drawn = float(torch.rand((), generator=at.generator, dtype=torch.float64))
        return drawn < float((1 + self.gamma * at.step) ** -self.power)

    def revise(self, at: Moment) -> PruningPlan:
        """Prune what fell below the lower threshold, splice what rose above the upper one."""
        assert at.plan is not None
        kept = {}
        for name, size in _sizes(at, at.plan).items():
            threshold, before = at.memory[name].to(size), at.plan.kept[name]
            kept[name] = torch.where(size < 0.9 * threshold, False, torch.where(size >= 1.1 * threshold, True, before))
        return _alive(at, at.plan, kept)


def _sizes(at: Moment, plan: PruningPlan) -> dict[str, torch.Tensor]:
    """The size of every unit, masked ones too, by block."""
    blocks = {b.name: b for b in plan.blocks if b.name in plan.kept}
    return {
        name: plan.granularity.reduce(block, {t: at.parameters[t].detach().abs() for t in block.tensors})
        for name, block in blocks.items()
    }


def _alive(at: Moment, plan: PruningPlan, kept: dict[str, torch.Tensor]) -> PruningPlan:
    """The plan with other masks; blocks that would lose more than they may keep their largest units."""
    sizes = _sizes(at, plan)
    for block in plan.blocks:
        if block.name in kept and int(kept[block.name].sum()) < block.minimum:
            kept[block.name][sizes[block.name].argsort(descending=True, stable=True)[: block.minimum]] = True
    return replace(plan, kept={**plan.kept, **kept})
