"""What an optimiser remembers of a parameter, kept in step with masks and cuts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from secateur.apply.masking import parameters_of
from secateur.core.plan import PruningPlan


def silence_moments_(optimizer: torch.optim.Optimizer, masks: Mapping[nn.Parameter, Tensor]) -> None:
    """Forget, in place, the momentum and averages of dead entries, so that nothing moves them and they wake at rest.

    Args:
        optimizer: any of torch's; tensors of a parameter's shape in its state are taken for entries' own.
        masks: by parameter, boolean in its shape.
    """
    for parameter, keep in masks.items():
        for _, value in _entries(optimizer, parameter):
            value.mul_(keep.to(value))


def sliced(
    optimizer: torch.optim.Optimizer, masked: nn.Module, small: nn.Module, plan: PruningPlan
) -> torch.optim.Optimizer:
    """An optimiser of the shrunk network that goes on where that of the masked network stands.

    Momentum and averages of what stays are taken over, entry by entry; settings of parameter groups (learning rates,
    decay) too. Where attention heads were narrowed, queries were rescaled on the way and their moments were not.

    Args:
        optimizer: of `masked`.
        masked: the network in training, or an unmasked one of its structure.
        small: what `shrink` made of it by `plan`.
        plan: what stays.

    Returns:
        An optimiser of the same class over the parameters of `small`.
    """
    before, after = parameters_of(masked), parameters_of(small)
    names = {parameter: name for name, parameter in reversed(before.items()) if name in after}
    groups = []
    for group in optimizer.param_groups:
        known = dict.fromkeys(after[names[p]] for p in group["params"] if p in names)
        groups.append({**{k: v for k, v in group.items() if k != "params"}, "params": list(known)})
    fresh = type(optimizer)([group for group in groups if group["params"]], **_lr(optimizer))
    keeps = plan.graph.dim_keeps(plan.channels)
    for parameter, name in names.items():
        state: dict[str, Any] = {}
        for key, value in optimizer.state.get(parameter, {}).items():
            own = isinstance(value, Tensor) and value.shape == parameter.shape
            state[key] = _cut(value, keeps.get(name, {})) if own else _copy(value)
        if state:
            fresh.state[after[name]] = state
    return fresh


def _lr(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """A learning rate, which most optimisers want; every parameter group brings its own."""
    return {"lr": optimizer.defaults["lr"]} if "lr" in optimizer.defaults else {}


def _cut(value: Tensor, by_dim: Mapping[int, Tensor]) -> Tensor:
    for dim, keep in by_dim.items():
        value = value.index_select(dim, keep.nonzero().flatten().to(value.device))
    return value.clone()


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _entries(optimizer: torch.optim.Optimizer, parameter: nn.Parameter) -> Iterator[tuple[str, Tensor]]:
    for key, value in optimizer.state.get(parameter, {}).items():
        if isinstance(value, Tensor) and value.shape == parameter.shape:
            yield key, value
