"""`mask`: the same shapes, dead units silent, and it trains exactly as the shrunk network would.

A unit is dead when everything that consumes it is zero. The mask is a multiplication inside the parametrisation of
every parameter of the group, so dead entries have zero gradient (they do not enter a clipped gradient norm) and no
optimiser can wake them. Normalisations that reduce over cut units are swapped for ones that use live units only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from secateur.apply.live_norms import live_norm
from secateur.core.plan import PruningPlan


class Masked(nn.Module):
    """A parametrisation that multiplies a parameter with a fixed 0/1 mask of its shape."""

    keep: Tensor

    def __init__(self, keep: Tensor) -> None:
        super().__init__()
        self.register_buffer("keep", keep, persistent=False)

    def forward(self, parameter: Tensor) -> Tensor:
        """The parameter, zero where the mask is; gradients are zero there too."""
        return parameter * self.keep.to(parameter.dtype)


def mask(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """A masked copy of `model`: train it with any loop, then `shrink` it.

    Args:
        model: a network of the structure that was traced; may be masked already, masks then add up.
        plan: what stays.

    Returns:
        A copy in which every unit that does not stay is silent: exactly zero, with exactly zero gradient.

    Raises:
        IncompatibleError: the plan was made for another structure.
    """
    return mask_(unmask_(copy.deepcopy(model)) if is_masked(model) else copy.deepcopy(model), plan)


def mask_(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Mask `model` in place and return it; it must not be masked yet."""
    plan.check_fits(model)
    masks = plan.masks()
    if plan.is_structured:
        _swap_norms_(model, plan, masks)
    parameters = dict(model.named_parameters())
    for name, keep in masks.items():
        keep = keep.to(parameters[name].device)
        with torch.no_grad():
            parameters[name].mul_(keep.to(parameters[name].dtype))
        for each in (name, *plan.graph.tensors[name].aliases):
            owner, _, leaf = each.rpartition(".")
            parametrize.register_parametrization(model.get_submodule(owner), leaf, Masked(keep))
    return model


def is_masked(model: nn.Module) -> bool:
    """Whether `model` came out of `mask`."""
    return any(isinstance(m, Masked) for m in model.modules())


def unmask_(model: nn.Module) -> nn.Module:
    """Bake the masks into the parameters of `model` in place, so that its state has its original names again."""
    for module in list(model.modules()):
        if parametrize.is_parametrized(module):
            for leaf, chain in list(module.parametrizations.items()):
                if any(isinstance(p, Masked) for p in chain):
                    parametrize.remove_parametrizations(module, leaf, leave_parametrized=True)
    for name, module in list(model.named_modules()):
        original = getattr(module, "original_norm", None)
        if original is not None:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, original())
    return model


def _swap_norms_(model: nn.Module, plan: PruningPlan, masks: Mapping[str, Tensor]) -> None:
    for name in plan.graph.live_norms:
        live = masks.get(f"{name}.weight")
        if live is not None:
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, live_norm(model.get_submodule(name), live))
