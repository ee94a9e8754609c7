"""Functions of single examples, over a batch: all at once where torch can do so, one after another where it cannot."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._pytree import tree_flatten, tree_unflatten

from secateur.core.contracts import Step

#: Numbers that the results of one piece of a batch may hold: 256 MiB in float64.
PIECE = 2**25
#: Maps a function over the first dim of tensors, as `torch.func.vmap` does.
Map = Callable[[Callable[..., Any]], Callable[..., Any]]
#: `(output of the model for given parameters, loss of an output, map over the first dim) -> results by name`
Look = Callable[[Callable[[Mapping[str, Tensor]], Any], Callable[[Any], Tensor], Map], Mapping[str, Tensor]]


def parameters_of(model: nn.Module) -> dict[str, Tensor]:
    """The parameters that have gradients, detached, by name."""
    return {name: p.detach() for name, p in model.named_parameters() if p.is_floating_point()}


def one_by_one(model: nn.Module, step: Step, look: Look, width: int = 1) -> Iterator[Mapping[str, Tensor]]:
    """What `look` finds for each example of a batch.

    Args:
        model: in eval mode.
        step: the batch; tensors whose first dim is as long as the batch are cut into examples.
        look: sees one example, a batch of one.
        width: how many times over the results of one example need the memory of all parameters.

    Yields:
        Results for some of the examples at a time, `(examples, *)` each, in order.
    """
    leaves, spec = tree_flatten((step.example.args, dict(step.example.kwargs), step.target))
    own = [isinstance(x, Tensor) and x.ndim > 0 and len(x) == step.samples for x in leaves]

    def one(mapped: Map, *parts: Tensor) -> Mapping[str, Tensor]:
        rest = iter(parts)
        filled = [next(rest).unsqueeze(0) if mine else x for x, mine in zip(leaves, own, strict=True)]
        args, kwargs, target = tree_unflatten(filled, spec)
        return look(lambda ps: functional_call(model, dict(ps), args, kwargs), lambda y: step.loss(y, target), mapped)

    split = [x for x, mine in zip(leaves, own, strict=True) if mine]
    size = sum(p.numel() for p in model.parameters()) * width
    for some in zip(*(x.split(max(1, PIECE // max(size, 1))) for x in split), strict=True):
        with _differentiable_twice():
            yield _all_at_once(one, some) or _one_after_another(one, some)


def _all_at_once(one: Callable[..., Mapping[str, Tensor]], some: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
    """The results, or nothing if torch cannot map over this model or loss."""
    try:
        found: Mapping[str, Tensor] = vmap(lambda *parts: one(vmap, *parts))(*some)
    except (RuntimeError, ValueError, TypeError, NotImplementedError):
        return {}  # the model looks at values, say; if something else is wrong, going one by one will tell
    return found


def _one_after_another(one: Callable[..., Mapping[str, Tensor]], some: tuple[Tensor, ...]) -> Mapping[str, Tensor]:
    found = [one(_looped, *parts) for parts in zip(*some, strict=True)]
    return {name: torch.stack([each[name] for each in found]) for name in found[0]}


def _looped(function: Callable[..., Any]) -> Callable[..., Any]:
    """`vmap` as a loop."""

    def over(x: Tensor) -> Any:
        flat, specs = zip(*(tree_flatten(function(one)) for one in x), strict=True)
        return tree_unflatten([torch.stack(same) for same in zip(*flat, strict=True)], specs[0])

    return over


@contextmanager
def _differentiable_twice() -> Iterator[None]:
    """Attention in its plain form, the only one with second derivatives; no word about what torch maps slowly."""
    with warnings.catch_warnings(), sdpa_kernel(SDPBackend.MATH), torch.enable_grad():
        warnings.simplefilter("ignore")
        yield
