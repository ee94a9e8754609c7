"""Recipe: a published method, or your own, as the written-down arguments of `compress`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from secateur.core.budget import Budget
from secateur.core.contracts import Allocation, Criterion, Granularity, Regularizer, Repair, Schedule, Surgery
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTune:
    """How to train: plain mini-batch training with a learning rate that falls along a cosine to zero.

    Attributes:
        epochs: passes over the data; may be a fraction.
        lr: peak learning rate.
        optimizer: "sgd" (Nesterov momentum 0.9) or "adam".
        weight_decay: decoupled for Adam, L2 for SGD.
    """

    epochs: float = 1.0
    lr: float = 0.01
    optimizer: Literal["sgd", "adam"] = "sgd"
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        problems = [f"{name}={v!r}" for name, v in (("epochs", self.epochs), ("lr", self.lr)) if v <= 0]
        problems += [f"optimizer={self.optimizer!r}"] if self.optimizer not in ("sgd", "adam") else []
        if problems:
            raise IncompatibleError(
                f"FineTune got {', '.join(problems)}. epochs and lr must be above 0, optimizer 'sgd' or 'adam'."
            )

    def steps(self, per_epoch: int) -> int:
        """Optimiser steps in all, for so many batches an epoch; at least one."""
        return max(1, round(self.epochs * per_epoch))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A point in criterion x granularity x allocation x schedule x regulariser x repair.

    Attributes:
        criterion: which units matter.
        granularity: what one unit is.
        allocation: how many each block keeps.
        schedule: how the kept fraction moves over rounds of pruning and training.
        budget: what remains in the end; `compress(budget=...)` overrides it.
        sparsify: a training before the first cut, in which regulariser and surgery are at work.
        regularizer: what it is charged for.
        surgery: how masks change in it. What they are in the end is then the plan, and no other cut follows.
        rewind: before the training of every round, weights go back to what they were after so many epochs of
            `sparsify` (0: before it); None goes on from where they are.
        repair: what mends the network right after each cut, in order.
        finetune: training after each cut, if there is data; None trains nothing.
        paper: where the combination was published.
    """

    criterion: Criterion
    granularity: Granularity
    allocation: Allocation
    schedule: Schedule
    budget: Budget | None = None
    sparsify: FineTune | None = None
    regularizer: Regularizer | None = None
    surgery: Surgery | None = None
    rewind: float | None = None
    repair: tuple[Repair, ...] = ()
    finetune: FineTune | None = None
    paper: Paper | None = None

    def __post_init__(self) -> None:
        if self.sparsify is None and (self.surgery or self.rewind is not None):
            raise IncompatibleError(
                f"the recipe has {'a surgery' if self.surgery else 'a rewind'} and no training for it. "
                "Say how long that is: sparsify=FineTune(epochs=10)."
            )
        if [r.stage for r in self.repair] != sorted(r.stage for r in self.repair):
            right = ", ".join(repr(r) for r in sorted(self.repair, key=lambda r: r.stage))
            raise IncompatibleError(
                f"repairs in this order undo or repeat each other: {', '.join(map(repr, self.repair))}. "
                f"First those that move biases, then those that fit weights, then those that take statistics: {right}."
            )

    @property
    def data_free(self) -> bool:
        """Whether scores can be had without data."""
        return self.criterion.traits.data_free and self.sparsify is None

    def cite(self) -> list[str]:
        """The papers of all parts, each once."""
        parts = (self, self.criterion, self.granularity, self.schedule, self.regularizer, self.surgery, *self.repair)
        papers = [getattr(part, "paper", None) for part in parts]
        return list(dict.fromkeys(p.cite() for p in papers if p is not None))
