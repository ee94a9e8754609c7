"""Copies of models, of those too that keep tensors which every pass computes anew."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, TypeVar

from torch import Tensor, nn

_Model = TypeVar("_Model", bound=nn.Module)


def copied(model: _Model) -> _Model:
    """A deep copy.

    Torch cannot copy tensors that belong to a computation, and some modules keep such tensors between passes: hooks of
    `torch.nn.utils.weight_norm` and `spectral_norm` set the weight, recurrent layers list what parametrisations of
    theirs compute. The next pass replaces them, so the copy gets their values.
    """
    memo = {id(x): x.detach().clone() for x in _computed(model) if not x.is_leaf}
    return copy.deepcopy(model, memo)


def _computed(model: nn.Module) -> Iterator[Tensor]:
    for module in model.modules():
        kept: list[Any] = [getattr(module, name, None) for name in hooked_names(module)]
        if isinstance(module, nn.RNNBase):
            kept += module._flat_weights  # noqa: SLF001  torch offers no public name
        yield from (x for x in kept if isinstance(x, Tensor))


def hooked_names(module: nn.Module) -> list[str]:
    """Names of the tensors that hooks of torch's older weight and spectral norm compute before every pass."""
    hooks: list[Any] = list(module._forward_pre_hooks.values())  # noqa: SLF001
    kinds = ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm")
    return [hook.name for hook in hooks if type(hook).__module__ in kinds]
