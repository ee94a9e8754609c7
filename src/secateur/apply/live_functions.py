"""Functions of torch that leave dead entries out: one twin for each of `LIVE_FUNCTIONS`, with its arguments."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from secateur.core.groups import LiveCall


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """The entries that are alive along the dim over which a call computes.

    Attributes:
        call: which call, and which dim.
        alive: boolean `(size of the dim,)`.
    """

    call: LiveCall
    alive: Tensor


Lives = tuple[Live, ...]


def _alive(lives: Lives, x: Tensor) -> Tensor:
    """Boolean, of as many dims as `x`, 1 long where all entries are alive."""
    both = torch.ones([1] * x.ndim, dtype=torch.bool, device=x.device)
    for one in lives:
        both = both & one.alive.to(x.device).view([-1 if d == one.call.dim else 1 for d in range(x.ndim)])
    return both


def _dims(dim: int | Sequence[int] | None, ndim: int) -> list[int]:
    every = dim is None or (not isinstance(dim, int) and not len(dim))
    return list(range(ndim)) if every else [d % ndim for d in ([dim] if isinstance(dim, int) else dim or ())]


def _moments(lives: Lives, x: Tensor, dims: list[int], correction: float = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Mean and variance over `dims`, which stay, 1 long; and the deviations, zero where dead."""
    keep = _alive(lives, x).expand(x.shape).to(x.dtype)
    count = keep.sum(dims, keepdim=True)
    mean = (x * keep).sum(dims, keepdim=True) / count
    centred = (x - mean) * keep
    return mean, centred.square().sum(dims, keepdim=True) / (count - correction), centred


def _drop(x: Tensor, dims: list[int], keepdim: bool) -> Tensor:
    return x if keepdim else x.squeeze(dims)


def _cast(x: Tensor, dtype: torch.dtype | None) -> Tensor:
    return x if dtype is None else x.to(dtype)


def _mean(
    lives: Lives, input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
) -> Tensor:
    dims = _dims(axis if dim is None else dim, input.ndim)
    return _drop(_moments(lives, _cast(input, dtype), dims)[0], dims, keepdim)


def _sum(
    lives: Lives, input: Tensor, dim: Any = None, keepdim: bool = False, *, axis: Any = None, dtype: Any = None
) -> Tensor:
    input = _cast(input, dtype)
    return (input * _alive(lives, input)).sum(_dims(axis if dim is None else dim, input.ndim), keepdim)


def _norm(lives: Lives, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    norm: Tensor = torch.norm(_instead(lives, input, 0.0), *args, **kwargs)
    return norm


def _vector_norm(lives: Lives, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(_instead(lives, x, 0.0), *args, **kwargs)
    return norm


def _normalize(lives: Lives, input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return F.normalize(_instead(lives, input, 0.0), *args, **kwargs)


def _spread(
    lives: Lives,
    input: Tensor,
    dim: Any = None,
    unbiased: bool = True,
    keepdim: bool = False,
    *,
    correction: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Variance and mean, with the arguments of `torch.var`, whose second may be left out for `unbiased` alone."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    dims = _dims(dim, input.ndim)
    mean, variance, _ = _moments(lives, input, dims, float(unbiased) if correction is None else correction)
    return _drop(variance, dims, keepdim), _drop(mean, dims, keepdim)


def _var(lives: Lives, *args: Any, **kwargs: Any) -> Tensor:
    return _spread(lives, *args, **kwargs)[0]


def _std(lives: Lives, *args: Any, **kwargs: Any) -> Tensor:
    return _root(_spread(lives, *args, **kwargs)[0])


def _std_mean(lives: Lives, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
    variance, mean = _spread(lives, *args, **kwargs)
    return _root(variance), mean


def _root(variance: Tensor) -> Tensor:
    """Its square root, with a gradient of zero where it is zero (a dead filter's), as torch's own has."""
    zero = variance == 0
    return torch.where(zero, variance, torch.where(zero, torch.ones_like(variance), variance).sqrt())


def _instead(lives: Lives, x: Tensor, value: float) -> Tensor:
    return x.masked_fill(~_alive(lives, x), value)


def _amax(lives: Lives, input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return _instead(lives, input, -torch.inf).amax(dim, keepdim)


def _amin(lives: Lives, input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:
    return _instead(lives, input, torch.inf).amin(dim, keepdim)


def _max(lives: Lives, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    return _instead(lives, input, -torch.inf).max(*args, **kwargs)


def _min(lives: Lives, input: Tensor, *args: Any, **kwargs: Any) -> Any:
    return _instead(lives, input, torch.inf).min(*args, **kwargs)


def _softmax(lives: Lives, input: Tensor, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    return F.softmax(_instead(lives, input, -torch.inf), dim, _stacklevel, dtype)


def _log_softmax(lives: Lives, input: Tensor, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    # Dead entries would be minus infinity, and times a masked weight of zero not a number.
    return F.log_softmax(_instead(lives, input, -torch.inf), dim, _stacklevel, dtype).masked_fill(
        ~_alive(lives, input), 0
    )


def _layer_norm(
    lives: Lives, input: Tensor, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    dims = list(range(input.ndim - len(normalized_shape), input.ndim))
    variance, centred = _moments(lives, input, dims)[1:]
    return _affine(centred * torch.rsqrt(variance + eps), weight, bias)


def _rms_norm(
    lives: Lives, input: Tensor, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Tensor:
    dims = list(range(input.ndim - len(normalized_shape), input.ndim))
    square = _moments(lives, input.square(), dims)[0]
    small = torch.finfo(input.dtype).eps if eps is None else eps
    return _affine(input * _alive(lives, input) * torch.rsqrt(square + small), weight, None)


def _affine(x: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    x = x if weight is None else x * weight
    return x if bias is None else x + bias


def _group_norm(
    lives: Lives, input: Tensor, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    batch, channels, rest = input.shape[0], input.shape[1], input.shape[2:]
    alive = _alive(lives, input).expand(1, channels, *[1] * len(rest)).reshape(num_groups, -1)
    if not bool((alive.sum(1) == alive[0].sum()).all()):
        raise AssertionError("groups of a group norm must stay equally wide")
    grouped = input.reshape(batch, num_groups, channels // num_groups, -1)
    keep = alive.view(1, num_groups, -1, 1).to(input.dtype)
    count = keep.sum(2, keepdim=True) * grouped.shape[-1]
    centred = (grouped - (grouped * keep).sum((2, 3), keepdim=True) / count) * keep
    variance = centred.square().sum((2, 3), keepdim=True) / count
    shape = [1, channels, *[1] * len(rest)]
    out = (centred * torch.rsqrt(variance + eps)).reshape(input.shape)
    return _affine(out, None if weight is None else weight.view(shape), None if bias is None else bias.view(shape))


_BATCH_NORM = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")


def _batch_norm(lives: Lives, *args: Any, **kwargs: Any) -> Tensor:
    """Of the batch's statistics: with running statistics, no dim but the channels may be cut, and no twin is needed."""
    given = {"weight": None, "bias": None, "eps": 1e-5} | dict(zip(_BATCH_NORM, args, strict=False)) | kwargs
    x, weight, bias = given["input"], given["weight"], given["bias"]
    variance, centred = _moments(lives, x, [d for d in range(x.ndim) if d != 1])[1:]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    out = centred * torch.rsqrt(variance + given["eps"])
    return _affine(out, None if weight is None else weight.view(shape), None if bias is None else bias.view(shape))


#: By the name under which torch knows the function; each takes what is alive, then the function's own arguments.
HANDLERS: Mapping[str, Callable[..., Any]] = {
    "mean": _mean,
    "sum": _sum,
    "var": _var,
    "std": _std,
    "var_mean": _spread,
    "std_mean": _std_mean,
    "amax": _amax,
    "amin": _amin,
    "max": _max,
    "min": _min,
    "softmax": _softmax,
    "log_softmax": _log_softmax,
    "layer_norm": _layer_norm,
    "rms_norm": _rms_norm,
    "norm": _norm,
    "linalg_vector_norm": _vector_norm,
    "normalize": _normalize,
    "group_norm": _group_norm,
    "batch_norm": _batch_norm,
}
