"""The registry of surgeries, and the arithmetic that they share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from secateur.core.contracts import Surgery
from secateur.core.errors import IncompatibleError
from secateur.core.moment import Moment
from secateur.core.plan import PruningPlan
from secateur.core.registry import Registry

SURGERIES: Registry[type[Surgery]] = Registry("surgery")
surgery = SURGERIES


def every(at: Moment, steps: int) -> bool:
    """Whether so many steps have passed since the last time; 0 for the end of every epoch."""
    return at.ended if steps == 0 else not at.ended and at.step % steps == 0


def check_shares(**shares: float) -> None:
    """Every one of them lies in [0, 1].

    Raises:
        IncompatibleError: one does not.
    """
    for name, value in shares.items():
        if not 0 <= value <= 1:
            raise IncompatibleError(f"{name} must be in [0, 1], got {name}={value!r}. It is a share of the training.")


def check_every(steps: int) -> None:
    """Steps between two revisions.

    Raises:
        IncompatibleError: it is negative.
    """
    if steps < 0:
        raise IncompatibleError(
            f"every must be 0 or more, got every={steps!r}. It is steps between revisions; 0 revises after every epoch."
        )


def check_span(begin: float, end: float, steps: int) -> None:
    """Pruning goes on between two moments of the training, every so many steps.

    Raises:
        IncompatibleError: there is nothing in between, or a figure is out of range.
    """
    check_shares(begin=begin, end=end)
    check_every(steps)
    if begin >= end:
        raise IncompatibleError(
            f"begin must be below end, got begin={begin!r}, end={end!r}. Pruning goes on in between."
        )


def due_between(at: Moment, begin: float, end: float, steps: int) -> bool:
    """Every so many steps between two moments of the training, and once at the later one."""
    last = round(end * at.steps)
    if at.step == last and not at.ended:
        return True
    return begin * at.steps <= at.step < last and every(at, steps)


def gone_between(at: Moment, begin: float, end: float) -> float:
    """How much of the way between two moments lies behind, in [0, 1]; exactly 1 from the later one on."""
    if at.step >= round(end * at.steps):
        return 1.0
    return min(1.0, max(0.0, (at.step / at.steps - begin) / (end - begin)))


@dataclass(frozen=True, kw_only=True)
class Rewiring(Surgery):
    """Sparse from the first step; at every revision weights of a layer change places.

    Attributes:
        share: of the weights that are alive, changed at first.
        until: share of the training after which masks stay as they are.
        every: steps between revisions; 0 revises at the end of every epoch.
    """

    share: float = 0.3
    until: float = 0.9
    every: int = 0

    def __post_init__(self) -> None:
        check_shares(share=self.share, until=self.until)
        check_every(self.every)

    def start(self, at: Moment) -> PruningPlan:
        """As sparse as the budget says, at once."""
        assert at.budget is not None
        return at.plan_for(at.budget.keep)

    def due(self, at: Moment) -> bool:
        """Every so many steps, until masks are frozen."""
        return at.t < self.until and every(at, self.every)

    def revise(self, at: Moment) -> PruningPlan:
        """Change places within every layer: the least weights go."""
        assert at.plan is not None
        kept = {}
        for name, keep in at.plan.kept.items():
            size = at.parameters[name].detach().abs().flatten()
            count = int(self.changed(at.t) * int(keep.sum()))
            kept[name] = exchanged(keep, count, drop=size, grow=self.wanted(at, name, size))
        return replace(at.plan, kept=kept)

    def changed(self, t: float) -> float:
        """The share that changes places at moment `t` of the training."""
        return self.share

    @abstractmethod
    def wanted(self, at: Moment, name: str, size: Tensor) -> Tensor:
        """Of the parameter `name`, (n,): which entries come, the largest first; `size` has the shape of the answer."""


def exchanged(keep: Tensor, number: int, *, drop: Tensor, grow: Tensor) -> Tensor:
    """A mask with as many entries alive as `keep`, of which `number` have changed places.

    Args:
        keep: boolean, flat.
        number: how many go, and how many come.
        drop: what is least goes first, of those alive.
        grow: what is most comes first, of those that were dead. Equal values go by their place.
    """
    number = min(number, int(keep.sum()), int((~keep).sum()))
    infinite = torch.full_like(drop, float("inf"))
    gone = torch.where(keep, drop, infinite).argsort(stable=True)[:number]
    come = torch.where(keep, -infinite, grow).argsort(descending=True, stable=True)[:number]
    changed = keep.clone()
    changed[gone] = False
    changed[come] = True
    return changed
