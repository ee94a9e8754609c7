"""Shapes that a few frequent operators return, without numbers, at a tenth of the price.

On the meta device torch computes these in Python, by taking the operators apart, which is most of what a pass without
numbers costs. Here only the plain case is answered; in any other, errors included, torch has the word.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

aten = torch.ops.aten


def results_of(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """What `func` returns when called with tensors on the meta device, among others."""
    quick = _QUICK.get(func)
    found = quick(*args, **kwargs) if quick is not None and _is_plain(args) else None
    return func(*args, **kwargs) if found is None else found


def _is_plain(args: tuple[Any, ...]) -> bool:
    """Whether all tensors are laid out as usual and on the meta device, and of the first one's floating type.

    A transposed matrix will do: what matrix products return is laid out as usual all the same.
    """
    tensors = [x for arg in args for x in (arg if isinstance(arg, list | tuple) else (arg,)) if isinstance(x, Tensor)]
    return (
        bool(tensors)
        and tensors[0].dtype in (torch.float32, torch.float64)
        and all(
            x.is_meta and x.dtype is tensors[0].dtype and (x.is_contiguous() or (x.ndim == 2 and x.mT.is_contiguous()))
            for x in tensors
        )
    )


def _batch_norm(x: Tensor, *rest: Any) -> tuple[Tensor, ...] | None:
    if (
        len(rest) != 7
        or x.ndim < 2
        or not x.is_contiguous()
        or not x.numel()
        or any(t is not None and t.shape != x.shape[1:2] for t in rest[:4])
    ):
        return None
    return torch.empty_like(x), x.new_empty(x.shape[1]), x.new_empty(x.shape[1])


def _layer_norm(x: Tensor, shape: list[int], *rest: Any) -> tuple[Tensor, ...] | None:
    if not x.is_contiguous():
        return None
    inner, outer = x.shape[x.ndim - len(shape) :], x.shape[: x.ndim - len(shape)]
    if len(rest) != 3 or inner != tuple(shape) or any(t is not None and t.shape != inner for t in rest[:2]):
        return None
    statistics = (*outer, *[1] * len(shape))
    return torch.empty_like(x), x.new_empty(statistics), x.new_empty(statistics)


def _addmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor | None:
    fits = a.ndim == b.ndim == 2 and a.shape[1] == b.shape[0] and bias.shape == b.shape[1:]
    return a.new_empty(a.shape[0], b.shape[1]) if fits else None


def _cat(tensors: list[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    if not -first.ndim <= dim < first.ndim or not all(x.ndim == first.ndim and x.is_contiguous() for x in tensors):
        return None
    at = dim % first.ndim
    others = {(*x.shape[:at], *x.shape[at + 1 :]) for x in tensors}
    sizes = (*first.shape[:at], sum(x.shape[at] for x in tensors), *first.shape[at + 1 :])
    return first.new_empty(sizes) if len(others) == 1 else None


def _convolution(x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor | None:
    if len(how) != 6 or how[3] or x.ndim != weight.ndim or not (x.is_contiguous() and weight.is_contiguous()):
        return None
    stride, padding, dilation, groups = how[0], how[1], how[2], how[5]
    dims = x.ndim - 2
    if not (dims >= 1 and len(stride) == len(padding) == len(dilation) == dims and groups):
        return None
    fits = x.shape[1] == weight.shape[1] * groups and weight.shape[0] % groups == 0 and x.numel() > 0
    if not fits or (bias is not None and bias.shape != weight.shape[:1]):
        return None
    sizes = [
        (x.shape[d + 2] + 2 * padding[d] - dilation[d] * (weight.shape[d + 2] - 1) - 1) // stride[d] + 1
        for d in range(dims)
    ]
    return x.new_empty(x.shape[0], weight.shape[0], *sizes) if min(sizes) > 0 else None


def _softmax(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor | None:
    return torch.empty_like(x) if -x.ndim <= dim < x.ndim and dtype is None and x.is_contiguous() else None


def _elementwise(x: Tensor, *_: float, **__: Any) -> Tensor:
    return torch.empty_like(x)


def _in_place(x: Tensor, *_: float) -> Tensor:
    return x


_QUICK: dict[OpOverload, Callable[..., Any]] = {
    aten.native_batch_norm.default: _batch_norm,
    aten.native_layer_norm.default: _layer_norm,
    aten.addmm.default: _addmm,
    aten.cat.default: _cat,
    aten.convolution.default: _convolution,
    aten._safe_softmax.default: _softmax,  # noqa: SLF001  torch's own name for it
    aten.gelu.default: _elementwise,
    aten.hardswish.default: _elementwise,
    aten.hardtanh.default: _elementwise,
    aten.hardswish_.default: _in_place,
    aten.hardtanh_.default: _in_place,
}
