"""Proximal: exact zeros while the network trains, by a gradient step on the loss and a proximal map on the charge."""

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
from secateur.regularizers.base import (
    WITHIN,
    Groups,
    check_choice,
    check_positive,
    group_factors,
    grouped,
    norm_of,
    regularizer,
)


@regularizer("proximal")
@dataclass(frozen=True, kw_only=True)
class Proximal(Regularizer):
    """Proximal gradient: plain, accelerated, and for overlapping groups by proximal averaging.

    Paper:   Yu, *Better Approximation and Faster Algorithm Using the Proximal Average*, NIPS 2013, Sec. 4 (overlapping
             groups); the accelerated form is that of Huang and Wang, *Data-Driven Sparse Structure Selection for Deep
             Neural Networks*, ECCV 2018, Sec. 3.3. arXiv:1707.01213
    Formula: R = strength * sum over kinds k and groups g of sqrt(|g|) ||w_g||;
             w <- mean over the K kinds of prox(K tau R_k)(w), which is
             w_g <- w_g max(0, 1 - K tau strength sqrt(|g|) / ||w_g||); tau is the sum of learning rates since the last
             time.
             Accelerated, u the weights before the step: z = u - lr dL/du, v <- prox(z) - u + momentum v,
             w <- prox(z) + momentum v
    Shapes:  weights of any shape, in place
    Cost:    O(weights) each time; accelerated, two weights' worth of memory
    Differs: the loss has the optimiser's own step, whichever that is; accelerated steps take its place (no weight
             decay). With kinds that overlap, an entry is exactly zero once all of its groups are

    Attributes:
        strength: lambda.
        groups: "weight" (soft threshold), "filter", "channel", "shape", "depth", "maker" (everything that makes a
            channel: filter, bias, scale), or several that overlap, "filter+channel".
        momentum: above 0 for the accelerated form; every=1 then.
        every: steps between two maps; 0 maps at the end of every epoch.

    Example:
        >>> Proximal(groups="filter+channel").kinds
        ('filter', 'channel')
    """

    strength: float = 1e-4
    groups: str = "weight"
    momentum: float = 0.0
    every: int = 1
    takes: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("yu2013")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength, every=self.every, momentum=self.momentum)
        for kind in self.kinds:
            check_choice((*WITHIN, "maker"), groups=kind)
        if self.momentum >= 1 or (self.momentum and self.every != 1):
            raise IncompatibleError(
                f"an accelerated step is every step and has momentum below 1, got momentum={self.momentum!r}, "
                f"every={self.every!r}. Use momentum=0.9, every=1, or momentum=0."
            )

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of groups."""
        return tuple(self.groups.split("+"))

    def start(self, at: Moment) -> None:
        """Keep the weights from before the next step, where the accelerated form asks for them."""
        at.memory["tau"] = torch.zeros((), dtype=torch.float64)
        if self.momentum:
            for name in _tensors(self._groups(at)):
                at.memory[f"before:{name}"] = at.parameters[name].detach().clone()
                at.memory[f"velocity:{name}"] = torch.zeros_like(at.parameters[name], requires_grad=False)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable; it is taken by `after_step`, and so not added to the loss."""
        parts = []
        for groups in self._groups(at):
            norms = norm_of(groups.squares({name: at.value(name) for name in groups.tensors}))
            parts.append((groups.sizes.to(norms).sqrt() * norms).sum())
        return self.strength * torch.stack(parts).sum()

    def after_step(self, at: Moment) -> None:
        """Count learning rates, and map when it is time."""
        at.memory["tau"] += at.lr
        if self.momentum:
            self._accelerate_(at)
        elif self.every and at.step % self.every == 0:
            self._map_(at)

    def after_epoch(self, at: Moment) -> None:
        """Map, if that is done once an epoch."""
        if self.every == 0:
            self._map_(at)

    @classmethod
    def examples(cls) -> list[Proximal]:
        """Soft threshold, groups, overlapping groups, accelerated."""
        return [
            cls(),
            cls(groups="filter", momentum=0.9),
            cls(groups="filter+shape"),
            cls(groups="depth"),
            cls(groups="maker", every=0),
        ]

    def _groups(self, at: Moment) -> list[Groups]:
        return [grouped(at.graph, kind) for kind in self.kinds]

    def _proximal(self, at: Moment, values: Mapping[str, Tensor], tau: float) -> dict[str, Tensor]:
        """The mean of the proximal maps of all kinds of groups."""
        every = self._groups(at)
        total = {name: torch.zeros_like(value) for name, value in values.items()}
        for groups in every:
            squares = groups.squares(values)
            thresholds = len(every) * tau * self.strength * groups.sizes.to(squares).sqrt()
            factors = groups.spread(group_factors(squares, thresholds))
            for name, value in values.items():
                total[name] += value * factors[name] if name in factors else value
        return {name: value / len(every) for name, value in total.items()}

    def _map_(self, at: Moment) -> None:
        with torch.no_grad():
            values = {name: at.parameters[name].detach() for name in _tensors(self._groups(at))}
            for name, value in self._proximal(at, values, float(at.memory["tau"])).items():
                at.parameters[name].copy_(value)
        at.memory["tau"] = torch.zeros((), dtype=torch.float64)

    def _accelerate_(self, at: Moment) -> None:
        names = _tensors(self._groups(at))
        with torch.no_grad():
            before = {name: at.memory[f"before:{name}"] for name in names}
            went = {name: before[name] - at.lr * _gradient(at, name) for name in names}
            for name, mapped in self._proximal(at, went, at.lr).items():
                velocity = mapped - before[name] + self.momentum * at.memory[f"velocity:{name}"]
                at.memory[f"velocity:{name}"] = velocity
                at.parameters[name].copy_(mapped + self.momentum * velocity)
                at.memory[f"before:{name}"] = at.parameters[name].detach().clone()


def _tensors(groups: list[Groups]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for one in groups for name in one.tensors))


def _gradient(at: Moment, name: str) -> Tensor:
    found = at.parameters[name].grad
    return torch.zeros_like(at.parameters[name]) if found is None else found
