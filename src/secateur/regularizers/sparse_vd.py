"""Sparse variational dropout: every weight gets noise of its own, and what drowns in it goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from secateur.core.attached import PREFIX, attach_, attached, detach_
from secateur.core.contracts import Regularizer
from secateur.core.groups import ChannelGraph
from secateur.core.moment import Moment
from secateur.core.paper import Paper
from secateur.regularizers.base import check_positive, regularizer
from secateur.regularizers.gates import applied, plain_layers

_LEAF = "log_variance"
# Eq. 14 of the paper.
_K1, _K2, _K3 = 0.63576, 1.87320, 1.48695
#: Added to variances, whose root has no derivative at zero.
_EPSILON = 1e-8


@regularizer("sparse_vd")
@dataclass(frozen=True, kw_only=True)
class SparseVD(Regularizer):
    """Variational dropout with a rate of its own for every weight, by local reparametrisation.

    Paper:   Molchanov, Ashukha, Vetrov, *Variational Dropout Sparsifies Deep Neural Networks*, ICML 2017, Eq. 14.
             arXiv:1701.05369
    Formula: alpha = variance / w^2; R = strength min(1, t / warm_up) sum KL(alpha), KL = k1 - k1 sigmoid(k2 + k3 log
             alpha) + 1/2 log(1 + 1 / alpha); in training a layer gives N(W x, variance x^2). In the end weights with
             log alpha > threshold become zero
    Shapes:  linear layers and convolutions that are called as modules; one variance for each weight
    Cost:    a second pass through every layer in training, and one more number for each weight
    Differs: starts from a trained network, with variances of at most w^2. Weights that are zero have no noise and are
             charged nothing, so masks hold. Noise comes from torch's own random state, as dropout's does

    Attributes:
        strength: of the divergence beside the mean loss: one over the number of training examples.
        warm_up: share of the training in which the charge rises.
        threshold: of log alpha.
        first: log of the variance at first.

    Example:
        >>> SparseVD().threshold
        3.0
    """

    strength: float = 1e-4
    warm_up: float = 0.3
    threshold: float = 3.0
    first: float = -10.0
    paper: ClassVar[Paper | None] = Paper("molchanov2017vd")

    def __post_init__(self) -> None:
        check_positive(strength=self.strength, warm_up=self.warm_up)

    @contextmanager
    def _at_work(self, model: nn.Module, graph: ChannelGraph) -> Iterator[None]:
        layers = plain_layers(model, graph)
        handles = []
        for owner in layers.values():
            module = model.get_submodule(owner)
            assert isinstance(module.weight, Tensor)
            first = torch.full_like(module.weight.detach(), self.first)
            attach_(module, _LEAF, torch.minimum(first, _log_square(module.weight.detach())))
            handles.append(module.register_forward_hook(_noise))
        try:
            yield
            parameters = dict(model.named_parameters())
            with torch.no_grad():
                for name, owner in layers.items():
                    weight = parameters[name]
                    drowned = _log_alpha(weight, attached(model.get_submodule(owner), _LEAF)) > self.threshold
                    if bool((drowned & (weight != 0)).any()):
                        weight.masked_fill_(drowned, 0)
        finally:
            for handle in handles:
                handle.remove()
            for owner in layers.values():
                detach_(model.get_submodule(owner), _LEAF)

    def attach(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Variances, and hooks that add noise to outputs in training; in the end drowned weights become zero."""
        return self._at_work(model, graph)

    def penalty(self, at: Moment) -> Tensor:
        """The charge, differentiable."""
        parts = []
        for name, owner in plain_layers(at.model, at.graph).items():
            weight = at.value(name)
            log_alpha = _log_alpha(weight, at.value(f"{owner}.{PREFIX}{_LEAF}".lstrip(".")))
            parts.append((divergence(log_alpha) * (weight.detach() != 0)).sum())
        share = min(1.0, at.t / self.warm_up) if self.warm_up else 1.0
        return self.strength * share * torch.stack(parts).sum()

    @classmethod
    def examples(cls) -> list[SparseVD]:
        """At its full charge from the first step on."""
        return [cls(warm_up=0.0)]


def divergence(log_alpha: Tensor) -> Tensor:
    """The approximation of the KL divergence from the log-uniform prior, up to a constant: 0 for infinite alpha."""
    return _K1 - _K1 * torch.sigmoid(_K2 + _K3 * log_alpha) + 0.5 * F.softplus(-log_alpha)


def _log_square(weight: Tensor) -> Tensor:
    return torch.where(weight == 0, 1.0, weight).square().log()


def _log_alpha(weight: Tensor, log_variance: Tensor) -> Tensor:
    return log_variance - _log_square(weight)


def _noise(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor | None:
    """Add what the noise of the weights makes of the output."""
    if not module.training:
        return None
    assert isinstance(module.weight, Tensor)
    variance = attached(module, _LEAF).exp() * (module.weight.detach() != 0)
    spread = applied(module, inputs[0].square(), variance, None)
    return output + (spread + _EPSILON).sqrt() * _normal(output)


def _normal(like: Tensor) -> Tensor:
    """Standard normal numbers in the shape and the layout of `like`, drawn in the order of memory.

    Torch draws many at a time only into contiguous tensors, and one by one into those with channels last.
    """
    layout = torch.empty_like(like)
    drawn = torch.randn(layout.numel(), dtype=layout.dtype, device=layout.device)
    return drawn.as_strided(layout.shape, layout.stride())
