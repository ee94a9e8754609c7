"""Deep copies of networks, as `copy.deepcopy` makes them, at a third of its price."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from torch import nn

#: Values that no copy can tell from the original.
_ATOMS = (bool, int, float, str, type(None))
#: Containers of which most modules have a dozen, all empty: their hooks.
_CONTAINERS = (dict, OrderedDict, set)
#: Methods by which a class says how it wants to be copied; such a module is left to `copy.deepcopy`.
_SAYS = ("__deepcopy__", "__reduce__", "__reduce_ex__", "__getstate__", "__getnewargs__", "__getnewargs_ex__")


def twin(model: nn.Module, instead: Mapping[int, Any] | None = None) -> nn.Module:
    """A deep copy of `model`.

    Args:
        model: what to copy; it is not touched.
        instead: by the `id` of an object, what the copy shall have in its place.
    """
    memo = dict(instead or {})
    plain = [m for m in model.modules() if id(m) not in memo and _is_plain(type(m))]
    for module in plain:
        memo[id(module)] = type(module).__new__(type(module))
    for module in plain:
        memo[id(module)].__setstate__({name: _copy(value, memo) for name, value in module.__getstate__().items()})
    return copy.deepcopy(model, memo)  # by now this looks it up, unless the model itself is not plain


def _is_plain(kind: type[nn.Module]) -> bool:
    return all(getattr(kind, name, None) is getattr(nn.Module, name, None) for name in _SAYS)


def _copy(value: Any, memo: dict[int, Any]) -> Any:
    kind = type(value)
    if kind in _ATOMS or (kind is tuple and all(type(x) in _ATOMS for x in value)):
        return value
    if id(value) in memo:
        return memo[id(value)]
    if kind in _CONTAINERS and not value:
        copied = memo[id(value)] = kind()
    elif kind is dict:
        copied = memo[id(value)] = {}
        copied.update((key, _copy(item, memo)) for key, item in value.items())
    else:
        copied = copy.deepcopy(value, memo)
    return copied
