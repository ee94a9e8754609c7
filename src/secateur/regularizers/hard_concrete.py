"""Hard concrete: gates that are exactly zero with a probability that can be learned."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from math import log
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from secateur.core.attached import PREFIX, attach_, attached, detach_
from secateur.core.contracts import Regularizer
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_choice, check_positive, regularizer
from secateur.regularizers.gates import (
    Factors,
    Gate,
    alive,
    applied,
    bake_,
    hooks_at,
    names_of,
    plain_layers,
    unit_gates,
)

_LEAF = "log_alpha"
# Sec. 4 of the paper: temperature, and how far the concrete distribution is stretched beyond 0 and 1.
_BETA, _LOW, _HIGH = 2 / 3, -0.1, 1.1
#: Where gates begin: the deterministic gate is exactly one.
_FIRST = 2.5


@regularizer("hard_concrete")
@dataclass(frozen=True, kw_only=True)
class HardConcrete(Regularizer):
    """L0 regularisation: the expected number of weights, or of channels, that are not zero.

    Paper:   Louizos, Welling, Kingma, *Learning Sparse Neural Networks through L0 Regularization*, ICLR 2018, Eq. 10 to
             12. arXiv:1712.01312
    Formula: in training z = clip(1.2 sigmoid((log u - log(1 - u) + log alpha) / beta) - 0.1, 0, 1), u uniform and
             beta = 2/3; R = strength sum sigmoid(log alpha - beta log(0.1 / 1.1)), the chances that z is not zero; in
             the end z = clip(1.2 sigmoid(log alpha) - 0.1, 0, 1) goes into the weights
    Shapes:  one gate for each weight of linear layers and convolutions, or for each unit where it is read
    Cost:    of weights, a second pass through every layer and two more numbers for each weight; of channels, hardly any
    Differs: starts from a trained network, with open gates (log alpha 2.5). Of channels, one gate counts as one. What
             is zero already is not counted. Random numbers come from torch's own random state, as dropout's do

    Attributes:
        strength: lambda, for each gate.
        over: "weight" or "channel".

    Example:
        >>> HardConcrete().over
        'weight'
    """

    strength: float = 1e-4
    over: str = "weight"
    paper: ClassVar[Paper | None] = Paper("louizos2018")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength)
        check_choice(("weight", "channel"), over=self.over)

    def attach(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Gates, and hooks that multiply; in the end the deterministic gates are baked into the weights."""
        return _weights(model, graph) if self.over == "weight" else _channels(model, graph)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        if self.over == "weight":
            parts = [
                (chance(at.value(_name(owner))) * (at.value(name).detach() != 0)).sum()
                for name, owner in plain_layers(at.model, at.graph).items()
            ]
        else:
            gates = unit_gates(at.model, at.graph)
            values = {name: at.value(name) for name in names_of(gates)}
            parts = [(chance(at.value(_name(gate.home))) * alive(gate, values)).sum() for gate in gates]
        return self.strength * torch.stack(parts).sum()

    @classmethod
    def examples(cls) -> list[HardConcrete]:
        """Weights and channels."""
        return [cls(), cls(over="channel")]


def chance(log_alpha: Tensor) -> Tensor:
    """The probability that a gate is not zero."""
    return torch.sigmoid(log_alpha - _BETA * log(-_LOW / _HIGH))


def settled(log_alpha: Tensor) -> Tensor:
    """The gates that the network is left with."""
    return (torch.sigmoid(log_alpha) * (_HIGH - _LOW) + _LOW).clamp(0, 1)


def drawn(log_alpha: Tensor, u: Tensor) -> Tensor:
    """Gates at the uniform random numbers `u`."""
    stretched = torch.sigmoid((u.log() - (1 - u).log() + log_alpha) / _BETA) * (_HIGH - _LOW) + _LOW
    return stretched.clamp(0, 1)


def _uniform(like: Tensor) -> Tensor:
    return torch.rand_like(like.detach()).clamp(1e-6, 1 - 1e-6)


def _name(owner: str) -> str:
    return f"{owner}.{PREFIX}{_LEAF}".lstrip(".")


@contextmanager
def _weights(model: nn.Module, graph: ChannelGraph) -> Iterator[None]:
    layers = plain_layers(model, graph)
    modules = {name: model.get_submodule(owner) for name, owner in layers.items()}
    handles = []
    for module in modules.values():
        assert isinstance(module.weight, Tensor)
        attach_(module, _LEAF, torch.full_like(module.weight.detach(), _FIRST))
        handles.append(module.register_forward_hook(_gated))
    try:
        yield
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, module in modules.items():
                gates = settled(attached(module, _LEAF))
                if bool((gates != 1).any()):
                    parameters[name].mul_(gates)
    finally:
        for handle in handles:
            handle.remove()
        for module in modules.values():
            detach_(module, _LEAF)


def _gated(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
    """The output again, of gated weights."""
    assert isinstance(module.weight, Tensor)
    log_alpha = attached(module, _LEAF)
    gates = drawn(log_alpha, _uniform(log_alpha)) if module.training else settled(log_alpha)
    bias = module.bias
    assert bias is None or isinstance(bias, Tensor)
    return applied(module, inputs[0], module.weight * gates, bias)


class _Drawn(Factors):
    """Gates that are drawn once for each pass through the network, for all places where they act."""

    def __init__(self, home: nn.Module) -> None:
        super().__init__(home, _LEAF)
        self.u: Tensor | None = None

    def draw(self) -> None:
        """New random numbers."""
        self.u = _uniform(attached(self.home, _LEAF))

    def now(self, training: bool) -> Tensor:
        """The factors of this pass."""
        log_alpha = attached(self.home, _LEAF)
        if not training:
            return settled(log_alpha)
        if self.u is None:
            self.draw()
        assert self.u is not None
        return drawn(log_alpha, self.u)


class _Draw:
    """A hook that draws all gates before every pass."""

    def __init__(self, factors: list[_Drawn]) -> None:
        self.factors = factors

    def __call__(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        for one in self.factors:
            one.draw()


@contextmanager
def _channels(model: nn.Module, graph: ChannelGraph) -> Iterator[None]:
    gates: list[Gate] = unit_gates(model, graph)
    if not gates:
        raise IncompatibleError("this network has no channels that a gate could switch off. Use over='weight'.")
    homes = [model.get_submodule(gate.home) for gate in gates]
    for gate, home in zip(gates, homes, strict=True):
        like = next(home.parameters())
        attach_(home, _LEAF, torch.full((gate.count,), _FIRST, dtype=like.dtype, device=like.device))
    factors = [_Drawn(home) for home in homes]
    handles = [handle for gate, one in zip(gates, factors, strict=True) for handle in hooks_at(model, gate, one)]
    handles.append(model.register_forward_pre_hook(_Draw(factors)))
    try:
        yield
        for gate, home in zip(gates, homes, strict=True):
            bake_(model, gate, settled(attached(home, _LEAF)).detach())
    finally:
        for handle in handles:
            handle.remove()
        for home in homes:
            detach_(home, _LEAF)
