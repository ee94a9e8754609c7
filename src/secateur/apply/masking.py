"""`mask`: the same shapes, dead units silent, and it trains exactly as the shrunk network would.

A unit is dead when everything that consumes it is zero. The mask is a multiplication inside the parametrisation of
every parameter of the group, so dead entries have zero gradient (they do not enter a clipped gradient norm) and no
optimiser can wake them. Where a forward computes a mean, a norm or a softmax over cut units, it uses live units only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from secateur.apply.flat_weights import follow_masks_, restore_flat_weights_
from secateur.apply.live_calls import LiveForward, live_calls_of, make_live_, unmake_live_
from secateur.apply.live_functions import Live
from secateur.core.copying import copied
from secateur.core.errors import IncompatibleError
from secateur.core.groups import LiveCall, Role
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel

_Key = TypeVar("_Key", str, LiveCall)


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


class SoftMasked(Masked):
    """The same forward pass, but gradients pass the mask straight through, so that dead entries go on moving."""

    def forward(self, parameter: Tensor) -> Tensor:
        """The parameter, zero where the mask is; its gradient is that of what comes out, everywhere."""
        # Exact: where the mask is one this adds zero, where it is zero it takes away everything.
        return parameter + (parameter * self.keep.to(parameter.dtype) - parameter).detach()


def mask(model: nn.Module, plan: PruningPlan, *, straight_through: bool = False) -> nn.Module:
    """A masked copy of `model`: train it with any loop, then `shrink` it.

    Args:
        model: a network of the structure that was traced; may be masked already, masks then add up.
        plan: what stays.
        straight_through: dead entries get the gradients that they would have if they were alive, and go on moving
            behind the mask (a soft mask). `shrink` then no longer equals training the small network, only its result.

    Returns:
        A copy in which every unit that does not stay is silent: exactly zero, and, unless gradients pass straight
        through, with exactly zero gradient.

    Raises:
        IncompatibleError: the plan was made for another structure, or something else stands behind a mask already.
    """
    for name, module in model.named_modules():
        if any(len(chain) > 1 for chain in _chains(module).values()):
            raise IncompatibleError(
                f"weights of {name or 'the model'} are quantized behind their masks, and would be no more. Mask first, "
                "then quantize; or call dequantize_(model) before."
            )
    student = copied(model)
    masks, live = masks_of(student), live_of(student)
    kind = SoftMasked if straight_through else Masked
    return mask_(unmask_(student), plan, masks=masks, live=live, kind=kind)


def mask_(
    model: nn.Module,
    plan: PruningPlan,
    *,
    masks: Mapping[str, Tensor] | None = None,
    live: Mapping[LiveCall, Tensor] | None = None,
    kind: type[Masked] = Masked,
) -> nn.Module:
    """Mask `model`, which must not be masked yet, in place and return it.

    Args:
        model: changed in place.
        plan: what stays.
        masks: masks by parameter name that hold beside the plan's.
        live: by call, entries that are alive, beside the plan's.
        kind: hard or soft masks. What a soft mask hides keeps its value behind it.
    """
    plan.check_fits(model)
    masks = _both(plan.masks(), masks or {})
    silence_(model, plan, {} if kind is SoftMasked else masks, live)
    parameters = dict(model.named_parameters())
    done: set[tuple[int, str]] = set()  # a module under two names is masked once
    for name, keep in masks.items():
        # Laid out in memory like the parameter, or every forward pass would shuffle a channels-last weight back.
        laid_out = torch.empty_like(parameters[name], dtype=torch.bool, requires_grad=False).copy_(keep)
        for each in (name, *plan.graph.tensors[name].aliases):
            owner, _, leaf = each.rpartition(".")
            module = model.get_submodule(owner)
            if (id(module), leaf) in done:
                continue
            done.add((id(module), leaf))
            masked = kind(laid_out, _siblings(module))
            _own_class_(module)
            parametrize.register_parametrization(module, leaf, masked)
            follow_masks_(module)
    return model


def _own_class_(module: nn.Module) -> None:
    """Give a module that the user has parametrised a class of its own, before its first mask is put into the class.

    Torch makes a class when it parametrises a module, but a deep copy shares it with its original.
    """
    if parametrize.is_parametrized(module) and not _chains(module):
        kind = type(module)
        module.__class__ = type(f"Masked{kind.__name__}", (kind,), {})


def silence_(
    model: nn.Module,
    plan: PruningPlan,
    masks: Mapping[str, Tensor] | None = None,
    live: Mapping[LiveCall, Tensor] | None = None,
) -> nn.Module:
    """Do once, in place, what `mask_` holds up: the same forward pass, for networks that nobody will train.

    Args:
        model: a network that fits the plan; returned.
        plan: what stays.
        masks: by parameter name, the plan's and any others; by default the plan's.
        live: by call, entries that are alive, beside the plan's.
    """
    if plan.is_structured:
        found = {call: keep for call in plan.graph.live if (keep := call.live(plan.channels)) is not None}
        _make_live_(model, _both(found, live or {}))
        _silence_buffers_(model, plan)
    parameters = dict(model.named_parameters())
    unit = plan.granularity
    with torch.no_grad():
        if masks is None and isinstance(unit, Channel) and type(unit).expand is Channel.expand:
            # Whole slices go, of which masks would say it entry by entry: half of what a forward pass costs.
            for name, by_dim in unit.silenced(plan.graph, plan.channels).items():
                for dim, stays in by_dim.items():
                    parameters[name].index_fill_(dim, (~stays).nonzero().flatten().to(parameters[name].device), 0)
            return model
        for name, keep in (plan.masks() if masks is None else masks).items():
            parameters[name].masked_fill_(~keep.to(parameters[name].device), 0)
    return model


def _siblings(module: nn.Module) -> tuple[str, ...]:
    """Names of the module's own parameters in their first order, whether some are masked already or not."""
    for chain in _chains(module).values():
        siblings: tuple[str, ...] = chain[0].siblings
        return siblings
    return tuple(name for name, _ in module.named_parameters(recurse=False))


def is_masked(model: nn.Module) -> bool:
    """Whether `model` came out of `mask`."""
    return any(isinstance(m, Masked | LiveForward) for m in model.modules())


def masks_of(model: nn.Module) -> dict[str, Tensor]:
    """The masks that `model` carries, by the parameter's name in the unmasked network (the first name of tied ones)."""
    return {name: parts[0].keep for name, parts in masks_by_name(model).items()}


def masks_by_name(model: nn.Module) -> dict[str, list[Masked]]:
    """The parametrisations behind `masks_of`, by the same names: several for a tied parameter, one for each place."""
    found: dict[str, list[Masked]] = {}
    first: dict[int, str] = {}
    for owner, module in model.named_modules():
        for leaf, chain in _chains(module).items():
            name = first.setdefault(id(chain.original), f"{owner}.{leaf}".lstrip("."))
            found.setdefault(name, []).append(chain[0])
    return found


def remask_(model: nn.Module, plan: PruningPlan) -> nn.Module:
    """Put the masks of `plan` in the place of those that `model` carries; parameters stay the same objects.

    What a hard mask wakes comes back as zero, which it was held at.

    Raises:
        IncompatibleError: the plan silences a parameter that carries no mask.
    """
    masks, carried = plan.masks(), masks_of(model)
    if missing := sorted(set(masks) - set(carried)):
        raise IncompatibleError(
            f"the plan silences {missing[0]!r}, which carries no mask. Mask the network with all parameters that later "
            "plans may silence: mask_(model, plan, masks={name: all ones})."
        )
    parameters = parameters_of(model)
    hard = not any(isinstance(m, SoftMasked) for m in model.modules())
    with torch.no_grad():
        for name, mine in carried.items():  # a tied parameter shares its mask under all of its names
            mine.copy_(masks[name]) if name in masks else mine.fill_(True)
            if hard:
                parameters[name].mul_(mine.to(parameters[name].dtype))
    if plan.is_structured:
        unmake_live_(model.modules())
        _make_live_(model, {call: keep for call in plan.graph.live if (keep := call.live(plan.channels)) is not None})
    return model


def parameters_of(model: nn.Module) -> dict[str, nn.Parameter]:
    """Every parameter by its name in the unmasked network: behind a mask, the one that the optimiser moves."""
    found: dict[str, nn.Parameter] = {}
    masked = {
        f"{owner}.parametrizations.{leaf}.original".lstrip("."): f"{owner}.{leaf}".lstrip(".")
        for owner, module in model.named_modules()
        for leaf in _chains(module)
    }
    for name, parameter in model.named_parameters(remove_duplicate=False):
        found[masked.get(name, name)] = parameter
    return found


def unmask_(model: nn.Module) -> nn.Module:
    """Bake the masks into the parameters of `model` in place, so that its state has its original names again."""
    for module in list(model.modules()):
        chains = _chains(module)
        if chains:
            _bake_(module, chains)
    unmake_live_(model.modules())
    return model


def _chains(module: nn.Module) -> dict[str, Any]:
    """The masked parameters of one module: leaf name to its chain of parametrisations, which is a single mask.

    Parametrisations of the user's are no masks: what they compute from is masked, inside of them.
    """
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
            originals[leaf].copy_(chain())  # a soft mask hides values until now; codes may stand behind it
            del module.parametrizations[leaf]  # type: ignore[operator, union-attr]
    if not parametrize.is_parametrized(module):
        del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    own = {**dict(module.named_parameters(recurse=False)), **originals}
    for leaf in order:
        module._parameters.pop(leaf, None)  # noqa: SLF001  a class property cannot be restored through setattr
        module.register_parameter(leaf, own[leaf])
    restore_flat_weights_(module)


def _both(new: Mapping[_Key, Tensor], old: Mapping[_Key, Tensor]) -> dict[_Key, Tensor]:
    """What both sides keep."""
    return {**old, **{key: keep & old[key] if key in old else keep for key, keep in new.items()}}


def _make_live_(model: nn.Module, live: Mapping[LiveCall, Tensor]) -> None:
    """Let every forward that computes over cut units leave dead ones out."""
    own = dict.fromkeys(call.module for call in live)
    # An encoder of PyTorch's hands its norms' weights to one fused call, past the norms themselves, unless a function
    # mode is on. So it gets one, without calls of its own.
    fused = [
        name
        for name, module in model.named_modules()
        if isinstance(module, nn.TransformerEncoder | nn.TransformerEncoderLayer)
        and any(call.startswith(f"{name}." if name else "") for call in own)
    ]
    for name in dict.fromkeys([*own, *fused]):
        mine = {call: keep for call, keep in live.items() if call.module == name}
        keys = dict.fromkeys((call.function, call.number) for call in mine)
        make_live_(
            model.get_submodule(name),
            {k: tuple(Live(c, keep) for c, keep in mine.items() if (c.function, c.number) == k) for k in keys},
        )


def _silence_buffers_(model: nn.Module, plan: PruningPlan) -> None:
    """Zero dead entries of buffers that hold numbers, running statistics aside: a constant may be added to a unit."""
    buffers = dict(model.named_buffers())
    for name, keep in plan.channels.items():
        slots = plan.graph.groups[name].slots if name in plan.graph.groups else ()
        for slot in slots:
            buffer = buffers.get(slot.tensor)
            if buffer is not None and buffer.is_floating_point() and slot.role is not Role.TRACKS:
                buffer.index_fill_(slot.dim, slot.index[~keep].flatten().to(buffer.device), 0.0)


def live_of(model: nn.Module) -> dict[LiveCall, Tensor]:
    """By call, which entries are alive where a masked forward computes over cut units."""
    return {
        live.call: live.alive
        for module in model.modules()
        for lives in live_calls_of(module).values()
        for live in lives
    }
