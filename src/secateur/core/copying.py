"""Copies of models, as `copy.deepcopy` makes them, at half its price, and of some that it cannot copy."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from torch import Tensor, nn

_Model = TypeVar("_Model", bound=nn.Module)

#: Values that no copy can tell from the original.
_ATOMS = frozenset({bool, int, float, str, type(None)})
#: Containers of which every module has a dozen, most of them empty: its hooks.
_CONTAINERS = frozenset({dict, OrderedDict, set})
#: Methods by which a class says how it wants to be copied; such a module is left to `copy.deepcopy`.
_SAYS = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")
#: Where the hooks of torch's older weight and spectral norm come from.
_OLDER_NORMS = ("torch.nn.utils.weight_norm", "torch.nn.utils.spectral_norm")


def copied(model: _Model, instead: Mapping[int, Any] | None = None) -> _Model:
    """A deep copy.

    Torch cannot copy tensors that belong to a computation, and some modules keep such tensors between passes: hooks of
    `torch.nn.utils.weight_norm` and `spectral_norm` set the weight, recurrent layers list what parametrisations of
    theirs compute. The next pass replaces them, so the copy gets their values.

    Args:
        model: what to copy; it is not touched.
        instead: by the `id` of an object inside the model, what the copy shall have in its place.
    """
    memo: dict[int, Any] = {id(x): x.detach().clone() for x in _computed(model) if not x.is_leaf}
    memo |= instead or {}
    plain = [m for m in model.modules() if id(m) not in memo and _is_plain(type(m))]
    for module in plain:
        memo[id(module)] = type(module).__new__(type(module))
    for module in reversed(plain):  # inner ones first: what is not plain is made anew around finished ones
        memo[id(module)].__setstate__({name: _copy(value, memo) for name, value in module.__getstate__().items()})
    return copy.deepcopy(model, memo)  # by now this looks it up, unless the model itself is not plain


def _computed(model: nn.Module) -> Iterator[Tensor]:
    """Tensors that every pass computes anew."""
    for module in model.modules():
        hooks: list[Any] = list(module._forward_pre_hooks.values())  # noqa: SLF001  torch offers no public name
        kept: list[Any] = [getattr(module, hook.name, None) for hook in hooks if type(hook).__module__ in _OLDER_NORMS]
        if isinstance(module, nn.RNNBase):
            kept += module._flat_weights  # noqa: SLF001
        yield from (x for x in kept if isinstance(x, Tensor))


def _is_plain(kind: type[nn.Module]) -> bool:
    return all(getattr(kind, name, None) is getattr(nn.Module, name, None) for name in _SAYS)


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _ATOMS or (kind is tuple and all(type(x) in _ATOMS for x in value)):
        return value
    if id(value) in memo:
        return memo[id(value)]
    if kind is dict or (kind in _CONTAINERS and not value):
        container = memo[id(value)] = kind()
        for key in value:
            container[key] = _copy(value[key], memo)
        return container
    return copy.deepcopy(value, memo)
