"""SSS: a scale behind every channel or residual block learns to be exactly zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.attached import PREFIX, attach_, attached, detach_
from secateur.core.contracts import Regularizer
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_choice, check_positive, regularizer, shrunk
from secateur.regularizers.gates import (
    Factors,
    Gate,
    alive,
    bake_,
    block_gates,
    hooks_at,
    names_of,
    unit_gates,
)

#: What is remembered of a scale, before its parameter's name.
_BEFORE, _VELOCITY = "before:", "velocity:"


@regularizer("sss")
@dataclass(frozen=True, kw_only=True)
class SSS(Regularizer):
    """Sparse structure selection: scales with an L1 charge, moved by accelerated proximal gradient.

    Paper:   Huang and Wang, *Data-Driven Sparse Structure Selection for Deep Neural Networks*, ECCV 2018, Sec. 3.
             arXiv:1707.01213
    Formula: R = strength sum |s|; z = s - lr dL/ds, v <- S(z) - s + momentum v, s <- S(z) + momentum v, S the soft
             threshold at lr strength; weights have the optimiser's own step
    Shapes:  one scale for each unit of a group, or for each residual block
    Cost:    O(activations) per step for the multiplications, three numbers per unit
    Differs: a channel's scale acts where the channel is read, and a block's behind what it adds to the stream. Groups
             that a layer norm reduces over, or that anything else than whole convolutions and linear layers reads, have
             none. When training ends, scales go into the weights, and everything of what has scale zero becomes zero.
             Weights that took small scales in, with a batch norm behind them, move fast: train on at a small learning
             rate

    Attributes:
        strength: gamma, the charge.
        momentum: of the scales.
        over: "channel" or "block".

    Example:
        >>> SSS(over="block").momentum
        0.9
    """

    strength: float = 1e-2
    momentum: float = 0.9
    over: str = "channel"
    takes: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("huang2018")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength, momentum=self.momentum)
        check_choice(("channel", "block"), over=self.over)

    @contextmanager
    def _at_work(self, model: nn.Module, graph: ChannelGraph) -> Iterator[None]:
        gates = self._gates(model, graph)
        if not gates:
            raise IncompatibleError(
                f"this network has no {self.over}s that a scale could switch off. "
                f"Use over={'channel' if self.over == 'block' else 'block'!r}, or group_lasso."
            )
        handles = []
        for gate in gates:
            home = model.get_submodule(gate.home)
            like = next(home.parameters())
            attach_(home, self._leaf, torch.ones(gate.count, dtype=like.dtype, device=like.device))
            handles += hooks_at(model, gate, Factors(home, self._leaf))
        try:
            yield
            for gate in gates:
                bake_(model, gate, attached(model.get_submodule(gate.home), self._leaf).detach())
        finally:
            for handle in handles:
                handle.remove()
            for gate in gates:
                detach_(model.get_submodule(gate.home), self._leaf)

    def attach(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Scales of one, and hooks that multiply; in the end they are baked into the weights."""
        return self._at_work(model, graph)

    def start(self, at: Moment) -> None:
        """Scales from before the next step, and their velocity."""
        for gate in self._gates(at.model, at.graph):
            scales = at.parameters[self._name(gate)]
            at.memory[f"{_BEFORE}{self._name(gate)}"] = scales.detach().clone()
            at.memory[f"{_VELOCITY}{self._name(gate)}"] = torch.zeros_like(scales, requires_grad=False)

    def penalty(self, at: Moment) -> Tensor:
        """The charge of what is read at all, differentiable; taken by `after_step`, and so not added to the loss."""
        gates = self._gates(at.model, at.graph)
        values = {name: at.value(name) for name in names_of(gates)}
        parts = [(at.value(self._name(gate)).abs() * alive(gate, values)).sum() for gate in gates]
        return self.strength * torch.stack(parts).sum()

    def after_step(self, at: Moment) -> None:
        """The accelerated step of the scales, in the place of the optimiser's."""
        with torch.no_grad():
            for name in [key.removeprefix(_BEFORE) for key in at.memory if key.startswith(_BEFORE)]:
                scales = at.parameters[name]
                before, velocity = at.memory[f"{_BEFORE}{name}"], at.memory[f"{_VELOCITY}{name}"]
                went = before if scales.grad is None else before - at.lr * scales.grad
                mapped = shrunk(went, at.lr * self.strength)
                velocity = mapped - before + self.momentum * velocity
                scales.copy_(mapped + self.momentum * velocity)
                at.memory[f"{_VELOCITY}{name}"] = velocity
                at.memory[f"{_BEFORE}{name}"] = scales.detach().clone()

    @property
    def _leaf(self) -> str:
        return f"{self.over}_scale"

    def _name(self, gate: Gate) -> str:
        return f"{gate.home}.{PREFIX}{self._leaf}".lstrip(".")

    def _gates(self, model: nn.Module, graph: ChannelGraph) -> list[Gate]:
        return unit_gates(model, graph) if self.over == "channel" else block_gates(model, graph)
