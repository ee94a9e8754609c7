"""`mask`: the same shapes, dead units silent, and it trains exactly as the shrunk network would.

A unit is dead when everything that consumes it is zero. The mask is a multiplication inside the parametrisation of
every parameter of the group, so dead entries have zero gradient (they do not enter a clipped gradient norm) and no
optimiser can wake them. Normalisations that reduce over cut units are swapped for ones that use live units only.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from secateur.apply.live_norms import LiveGroupNorm, LiveLayerNorm, live_norm
from secateur.core.plan import PruningPlan


class Masked(nn.Module):
    """A parametrisation that multiplies a parameter with a fixed 0/1 mask of its shape.

    Attributes:
        keep: the mask, boolean.
        siblings: names of the owner's parameters before masking, in order, so that unmasking restores the order.
    """

    keep: Tensor

    def __init__(self, keep: Tensor, siblings: tuple[str, ...]) -> None:
        super().__init__()
        self.register_buffer("keep", keep, persistent=False)
        self.siblings = siblings

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
    student = copy.deepcopy(model)
    earlier = masks_of(student)
    return mask_(unmask_(student) if earlier else student, plan, earlier=earlier)


def mask_(model: nn.Module, plan: PruningPlan, *, earlier: Mapping[str, Tensor] | None = None) -> nn.Module:
    """Mask `model`, which must not be masked yet, in place and return it.

    Args:
        model: changed in place.
        plan: what stays.
        earlier: masks by parameter name that hold beside the plan's.
    """
    plan.check_fits(model)
    masks = plan.masks()
    for name, keep in (earlier or {}).items():
        masks[name] = masks[name] & keep if name in masks else keep
    if plan.is_structured:
        _swap_norms_(model, plan, masks)
    parameters = dict(model.named_parameters())
    done: set[tuple[int, str]] = set()  # a module under two names is masked once
    for name, keep in masks.items():
        parameter = parameters[name]
        # Laid out in memory like the parameter, or every forward pass would shuffle a channels-last weight back.
        laid_out = torch.empty_like(parameter, dtype=torch.bool, requires_grad=False).copy_(keep)
        with torch.no_grad():
            parameter.mul_(laid_out.to(parameter.dtype))
        for each in (name, *plan.graph.tensors[name].aliases):
            owner, _, leaf = each.rpartition(".")
            module = model.get_submodule(owner)
            if (id(module), leaf) in done:
                continue
            done.add((id(module), leaf))
            parametrize.register_parametrization(module, leaf, Masked(laid_out, _siblings(module)))
    return model


def _siblings(module: nn.Module) -> tuple[str, ...]:
    """Names of the module's own parameters in their first order, whether some are masked already or not."""
    masked = (
        next((m for m in module.modules() if isinstance(m, Masked) and m.siblings), None) if _chains(module) else None
    )
    return masked.siblings if masked is not None else tuple(name for name, _ in module.named_parameters(recurse=False))


def is_masked(model: nn.Module) -> bool:
    """Whether `model` came out of `mask`."""
    return any(isinstance(m, Masked) for m in model.modules())


def masks_of(model: nn.Module) -> dict[str, Tensor]:
    """The masks that `model` carries, by the parameter's name in the unmasked network (the first name of tied ones)."""
    masks: dict[str, Tensor] = {}
    seen: set[int] = set()
    for owner, module in model.named_modules():
        for leaf, chain in _chains(module).items():
            if id(chain.original) not in seen:
                seen.add(id(chain.original))
                masks[f"{owner}.{leaf}" if owner else leaf] = chain[0].keep
    return masks


def unmask_(model: nn.Module) -> nn.Module:
    """Bake the masks into the parameters of `model` in place, so that its state has its original names again."""
    for module in list(model.modules()):
        chains = _chains(module)
        if chains:
            _bake_(module, chains)
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if isinstance(module, LiveLayerNorm | LiveGroupNorm):
            owner, _, leaf = name.rpartition(".")
            setattr(model.get_submodule(owner), leaf, module.original_norm())
    return model


def _chains(module: nn.Module) -> dict[str, Any]:
    """The masked parameters of one module: leaf name to its chain of parametrisations, which is a single mask."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, nn.ModuleDict):
        return {}
    return {leaf: chain for leaf, chain in found.items() if isinstance(chain[0], Masked)}  # type: ignore[index]


def _bake_(module: nn.Module, chains: Mapping[str, Any]) -> None:
    """Take the masks off one module.

    Not by torch's `remove_parametrizations`: that edits the class, which a deep copy shares with its original.
    """
    order = next(iter(chains.values()))[0].siblings
    originals = {leaf: chain.original for leaf, chain in chains.items()}
    with torch.no_grad():
        for leaf, chain in chains.items():
            originals[leaf].mul_(chain[0].keep.to(originals[leaf].dtype))
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    own = {**dict(module.named_parameters(recurse=False)), **originals}
    for leaf in order:
        module._parameters.pop(leaf, None)  # noqa: SLF001  a class property cannot be restored through setattr
        module.register_parameter(leaf, own[leaf])


def _swap_norms_(model: nn.Module, plan: PruningPlan, masks: Mapping[str, Tensor]) -> None:
    """Put live-statistics twins in the place of norms, under every name of a norm, with the mask of its weight."""
    every = {alias: masks.get(name) for name, axes in plan.graph.tensors.items() for alias in (name, *axes.aliases)}
    paths = list(model.named_modules(remove_duplicate=False))
    for name in plan.graph.live_norms:
        live, norm = every[f"{name}.weight"], model.get_submodule(name)
        if live is not None and bool(live.any()):  # a norm all of which is dead gives zero as it is
            twin = live_norm(norm, live)
            for path in (path for path, module in paths if module is norm):
                owner, _, leaf = path.rpartition(".")
                setattr(model.get_submodule(owner), leaf, twin)
