"""Moment: where training stands, as regularisers and surgeries see it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import reduce
from typing import TYPE_CHECKING, Any, Protocol, cast

import torch
from torch import Tensor, nn

from secateur.core.errors import MissingEvidenceError
from secateur.core.groups import ChannelGraph

if TYPE_CHECKING:
    from secateur.core.budget import Budget
    from secateur.core.plan import PruningPlan


class Decide(Protocol):
    """Makes a plan, by the criterion, granularity and allocation of the recipe in force."""

    def __call__(
        self, keep: float, *, saliency: Mapping[str, Tensor] | None = None, again: bool = False
    ) -> PruningPlan:
        """A plan that keeps the share `keep` of what the budget counts.

        Args:
            keep: in (0, 1].
            saliency: scores of every entry by parameter name, in place of the recipe's criterion.
            again: whether what is masked now may come back.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Moment:
    """One moment of a training.

    Attributes:
        model: the network in training, masks and all.
        graph: its structure.
        parameters: every parameter by its name in the unmasked network: what the optimiser moves, dead entries too.
        step: optimiser steps taken.
        steps: optimiser steps in all.
        ended: whether an epoch ends here.
        lr: learning rate of the last step.
        budget: what may remain in the end, if anything was said.
        keep: the share that may remain at a time t in [0, 1], by the recipe's schedule.
        plan: the masks in force; None before the first.
        memory: tensors by name that its owner keeps from one moment to the next; they are part of every checkpoint.
        dense: gradients of the last step by parameter name, of masked entries too, where a surgery asked for them.
        second: running averages of squared gradients by parameter name, where the optimiser keeps them (Adam).
        generator: for everything random.
        decide: makes plans.
    """

    model: nn.Module
    graph: ChannelGraph
    parameters: Mapping[str, nn.Parameter]
    generator: torch.Generator
    step: int = 0
    steps: int = 1
    ended: bool = False
    lr: float = 0.0
    budget: Budget | None = None
    keep: Callable[[float], float] = lambda t: 1.0
    plan: PruningPlan | None = None
    memory: dict[str, Tensor] = field(default_factory=dict)
    dense: Mapping[str, Tensor] = field(default_factory=dict)
    second: Mapping[str, Tensor] = field(default_factory=dict)
    decide: Decide | None = None

    def plan_for(
        self, keep: float, *, saliency: Mapping[str, Tensor] | None = None, again: bool = False
    ) -> PruningPlan:
        """A plan by the criterion, granularity and allocation of the recipe in force; see `Decide`.

        Raises:
            SecateurError: whatever planning raises.
        """
        assert self.decide is not None
        return self.decide(keep, saliency=saliency, again=again)

    @property
    def t(self) -> float:
        """The share of all steps that were taken, in [0, 1]."""
        return min(1.0, self.step / self.steps)

    def value(self, name: str) -> Tensor:
        """A parameter as the forward pass sees it, masks and all; gradients flow through it."""
        found: Any = reduce(getattr, name.split("."), self.model)
        return cast("Tensor", found)

    def gradient(self, name: str) -> Tensor:
        """The gradient of the last step, of masked entries too.

        Raises:
            MissingEvidenceError: it was thrown away before it could be read.
        """
        found = self.dense.get(name, self.parameters[name].grad)
        if found is None:
            raise MissingEvidenceError(
                f"the gradient of {name!r} is gone. Call session.step() after optimizer.step() and before zero_grad()."
            )
        return found
