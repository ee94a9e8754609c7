"""`quantize`: a copy that trains with few values; `quantized_of` reads them, `dequantize_` bakes them in."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from secateur.apply.flat_weights import follow_masks_, restore_flat_weights_
from secateur.apply.masking import Masked
from secateur.core.contracts import Quantizer
from secateur.core.copying import copied
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.quantized import Quantized
from secateur.quantize.trainable import LearnedStep, QuantizedWeight, SharedLevels, StraightThrough

#: What training changes: the levels of a codebook, the weights behind, or weights and the step of a grid.
Train = Literal["levels", "weights", "steps"]


def quantize(
    model: nn.Module,
    quantizer: Quantizer,
    *,
    only: Sequence[str] = (),
    frozen: Sequence[str] = (),
    train: Train | None = None,
) -> nn.Module:
    """A copy of `model` whose weights are quantized; train it with any loop, then `dequantize_` it or save the codes.

    Args:
        model: dense, shrunk or masked; masks stay, and what they silence has no say in the levels. May be quantized in
            part already; what is stays so.
        quantizer: which values are allowed, each weight by itself.
        only: patterns (`features.*`) of names of parameters; by default all floating-point ones of two dims or more.
        frozen: patterns of names that are left alone.
        train: "levels" keeps codes and trains what they stand for, for codebooks; "weights" quantizes anew in every
            pass and trains the weights behind it, straight through; "steps" does so and trains the step of an even grid
            beside them (LSQ). By default levels of codebooks, and the weights behind even grids.

    Returns:
        The copy.

    Raises:
        UnknownNameError: a pattern matches nothing.
        IncompatibleError: the quantizer cannot be trained so, or a weight cannot be quantized.
    """
    how: Train = train or ("weights" if quantizer.bounds else "levels")
    _check_train(quantizer, how)
    student = copied(model)
    chosen = [p for p in _places(student) if p.free]
    names = _chosen(chosen, only, frozen)
    _check_computed([p for p in chosen if p.name in names])
    new = {p.key: _made(p, quantizer, how) for p in chosen if p.name in names}
    for place in _places(student):
        if place.key in new:
            _register_(place, new[place.key])
    return student


def quantized_of(model: nn.Module) -> dict[str, Quantized]:
    """Codes and levels by name of the parameter in the plain network; of tied parameters the first name only."""
    found: dict[str, Quantized] = {}
    seen: set[int] = set()
    for module, leaf, name in _quantized(model):
        chain: Any = module.parametrizations[leaf]
        if id(chain.original) not in seen:
            seen.add(id(chain.original))
            found[name] = chain[-1].now(_behind(chain))
    return found


def is_quantized(model: nn.Module) -> bool:
    """Whether `model` came out of `quantize`."""
    return any(isinstance(m, QuantizedWeight) for m in model.modules())


def dequantize_(model: nn.Module) -> nn.Module:
    """Bake the quantized values in as ordinary parameters, in place; masks stay.

    Returns:
        The model, with the names of its state as they were before.
    """
    baked: set[int] = set()
    for module, leaf, _ in list(_quantized(model)):
        chain: Any = module.parametrizations[leaf]
        own = chain[-1]
        if id(chain.original) not in baked:
            baked.add(id(chain.original))
            with torch.no_grad():
                chain.original.copy_(chain())
        del chain[-1]
        if not len(chain):
            _unparametrized_(module, leaf, own.siblings)
    return model


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where a parameter sits: its name in the plain network, and the first name if it is tied."""

    module: nn.Module
    leaf: str
    name: str
    key: int
    chain: Any

    @property
    def free(self) -> bool:
        """Not quantized yet."""
        return self.chain is None or not isinstance(self.chain[-1], QuantizedWeight)

    @property
    def computed(self) -> bool:
        """Whether something of the user's computes it."""
        return self.chain is not None and not all(isinstance(p, Masked) for p in self.chain)

    @property
    def value(self) -> Tensor:
        found: Tensor = getattr(self.module, self.leaf)
        return found

    @property
    def keep(self) -> Tensor:
        """What stays: the mask's entries, or all that are not 0."""
        masks = [p.keep for p in self.chain or () if isinstance(p, Masked)]
        return masks[0] if masks else self.value.detach() != 0


def _places(model: nn.Module) -> Iterator[_Place]:
    """All floating-point parameters; tied ones at each of their places, under the first name."""
    first: dict[int, str] = {}
    for owner, module in model.named_modules():
        if isinstance(module, parametrize.ParametrizationList | QuantizedWeight):
            continue
        chains: Any = getattr(module, "parametrizations", {}) if parametrize.is_parametrized(module) else {}
        for leaf in [*module._parameters, *chains]:  # noqa: SLF001  named_parameters leaves out tied ones
            chain = chains[leaf] if leaf in [*chains] else None
            held = chain.original if chain is not None and hasattr(chain, "original") else getattr(module, leaf)
            if isinstance(held, Tensor) and held.is_floating_point():
                name = first.setdefault(id(held), f"{owner}.{leaf}" if owner else leaf)
                yield _Place(module, leaf, name, id(held), chain)


def _chosen(places: Sequence[_Place], only: Sequence[str], frozen: Sequence[str]) -> set[str]:
    names = {p.name: p for p in places}
    wanted = _matching(only, names) if only else {n for n, p in names.items() if p.value.ndim > 1 and not p.computed}
    return wanted - _matching(frozen, names)


def _matching(patterns: Iterable[str], names: Iterable[str]) -> set[str]:
    found: set[str] = set()
    names = sorted(names)
    for pattern in patterns:
        hits = {name for name in names if fnmatchcase(name, pattern)}
        if not hits:
            raise UnknownNameError(
                f"the pattern {pattern!r} matches no parameter that can be quantized. Parameters: {', '.join(names)}."
            )
        found |= hits
    return found


def _check_train(quantizer: Quantizer, how: str) -> None:
    allowed = ("weights", "steps") if quantizer.bounds else ("levels", "weights")
    if how not in allowed:
        form = "an even grid" if quantizer.bounds else "a codebook"
        raise IncompatibleError(
            f"train must be {' or '.join(map(repr, allowed))} for {quantizer!r}, which gives {form}, got train={how!r}."
        )


def _check_computed(places: Iterable[_Place]) -> None:
    for place in places:
        if place.computed:
            raise IncompatibleError(
                f"{place.name} is computed by a parametrisation of its own, behind which no value can be baked in. "
                "Remove it first (torch.nn.utils.parametrize.remove_parametrizations), or leave the parameter out."
            )


def _made(place: _Place, quantizer: Quantizer, how: Train) -> QuantizedWeight:
    weight, keep = place.value.detach(), place.keep
    found = quantizer.quantize(weight, keep=keep)
    made: QuantizedWeight
    if how == "levels":
        made = SharedLevels(weight, found, pairs=quantizer.pairs)
    elif how == "weights":
        made = StraightThrough(quantizer, keep)
    else:
        assert quantizer.bounds is not None
        made = LearnedStep(weight, found, quantizer.bounds, keep)
    return made


def _register_(place: _Place, made: QuantizedWeight) -> None:
    """Put it behind whatever computes the weight already; a tied parameter has one for all its places."""
    module = place.module
    made.siblings = _siblings(module)
    if parametrize.is_parametrized(module):
        _own_class_(module)
    parametrize.register_parametrization(module, place.leaf, made)
    follow_masks_(module)  # a recurrent layer lists its weights


def _siblings(module: Any) -> tuple[str, ...]:
    """Names of the module's own parameters in their first order."""
    if parametrize.is_parametrized(module):
        for chain in module.parametrizations.values():
            for each in chain:
                if isinstance(each, Masked | QuantizedWeight):
                    return each.siblings
    return tuple(module._parameters)  # noqa: SLF001  torch lists tied ones once only


def _own_class_(module: nn.Module) -> None:
    """Torch gives a parametrised module a class of its own, which a deep copy shares; give the copy another."""
    kind = type(module)
    own = {name: value for name, value in vars(kind).items() if name not in ("__dict__", "__weakref__")}
    module.__class__ = type(kind.__name__, kind.__bases__, own)


def _unparametrized_(module: nn.Module, leaf: str, siblings: tuple[str, ...]) -> None:
    """Take an empty chain off, and put its parameter back at its place in the order."""
    _own_class_(module)
    chains: Any = module.parametrizations
    original = chains[leaf].original
    del chains[leaf]
    delattr(type(module), leaf)
    if not len(chains):
        del module.parametrizations
        module.__class__ = type(module).__bases__[0]
    own = {**module._parameters, leaf: original}  # noqa: SLF001
    for name in [*(n for n in siblings if n in own), *(n for n in own if n not in siblings)]:
        module._parameters.pop(name, None)  # noqa: SLF001
        module.register_parameter(name, own[name])
    restore_flat_weights_(module)


def _behind(chain: Any) -> Tensor:
    """What the last parametrisation of a chain is given."""
    with torch.no_grad():
        found: Tensor = chain.original
        for each in list(chain)[:-1]:
            found = each(found)
    return found


def _quantized(model: nn.Module) -> Iterator[tuple[Any, str, str]]:
    for owner, module in model.named_modules():
        if parametrize.is_parametrized(module):
            for leaf, chain in module.parametrizations.items():
                if isinstance(chain[-1], QuantizedWeight):
                    yield module, leaf, f"{owner}.{leaf}" if owner else leaf
