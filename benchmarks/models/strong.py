"""An answer of its own to "are these two networks one?": shares no code with the verification that it watches over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmarks.models.case import Inputs, call

#: Right networks stay below 1e-11, wrong ones above 1e-3.
EQUAL = 1e-7


class AllDouble(TorchFunctionMode):
    """Turns every request for float32 into one for float64.

    Many networks take norms, softmaxes and rotations in float32 whatever their own type, and their rounding would blur
    the comparison.
    """

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Call `function` with float64 in place of float32."""
        if function is Tensor.float:
            function = Tensor.double
        args = tuple(_wide(x) for x in args)
        return function(*args, **{k: _wide(v) for k, v in (kwargs or {}).items()})


def _wide(value: Any) -> Any:
    return torch.float64 if value is torch.float32 else value


def fill_(model: nn.Module, seed: int, *, positive: bool = False) -> nn.Module:
    """Turn `model` to float64 and fill it with numbers that hide nothing.

    Matrices are uniform, sized by fan-in; vectors lie between a half and three halves, of either sign; running
    statistics likewise. Small weights, as networks start with, would let a misaligned network pass.

    Args:
        model: changed in place.
        seed: same seed, same numbers.
        positive: no negative number, for networks that take roots or logarithms of a parameter.
    """
    rng = torch.Generator().manual_seed(1000 + seed)
    model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            noise = 2 * torch.rand(parameter.shape, generator=rng, dtype=torch.float64) - 1
            if parameter.ndim > 1:
                strong = noise * (6 * parameter.shape[0] / parameter.numel()) ** 0.5
            else:
                strong = torch.where(noise < 0, noise - 1, noise + 1) * 0.75
            parameter.copy_(strong.abs() if positive else strong)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=rng, dtype=torch.float64))
    return model


def filled(make: Callable[[], nn.Module], inputs: Inputs, seed: int) -> nn.Module | None:
    """A strong model on which `inputs` give finite numbers, or None where neither sign of the weights does."""
    for positive in (False, True):
        model = fill_(make(), seed, positive=positive).eval()
        if all(bool(torch.isfinite(x).all()) for x in answers(model, inputs)):
            return model
    return None


def still_(model: nn.Module) -> nn.Module:
    """Switch off in place whatever drops at random in training mode, so that training mode can be compared as well."""
    for module in model.modules():
        named_p = "Drop" in type(module).__name__ or type(module).__name__ == "StochasticDepth"
        for name, value in vars(module).items():
            if isinstance(value, float) and ("drop" in name or (name == "p" and named_p)):
                setattr(module, name, 0.0)
    return model


def answers(model: nn.Module, inputs: Inputs, *, seed: int = 0) -> list[Tensor]:
    """Every floating-point tensor that `model` returns on `inputs`, in float64 throughout, in its present mode."""
    wide = _doubled(inputs)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            with AllDouble():
                found = call(model, wide)
        except (RuntimeError, TypeError):  # a forward that the mode disturbs: its own types, then
            torch.manual_seed(seed)
            found = call(model, wide)
    return [x for x in tensors(found) if x.is_floating_point()]


def gap(wanted: list[Tensor], found: list[Tensor]) -> float:
    """Largest difference over the largest value, over all tensors; infinite where shapes differ or a number is NaN."""
    if [x.shape for x in wanted] != [x.shape for x in found]:
        return float("inf")
    worst = 0.0
    for x, y in zip(wanted, found, strict=True):
        if x.numel():
            scale = float(x.abs().max())
            seen = float((x - y).abs().max()) / scale if scale > 0 else float(y.abs().max())
            if not seen < float("inf"):
                return float("inf")
            worst = max(worst, seen)
    return worst


def tensors(output: Any) -> list[Tensor]:
    """Tensors in a model's output: in tuples, lists, mappings and dataclasses, in order, each once."""
    seen: set[int] = set()
    return [x for x in _walk(output) if not (id(x) in seen or seen.add(id(x)))]


def _walk(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _walk(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _walk(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _walk(getattr(value, field.name))


def _doubled(inputs: Inputs) -> Inputs:
    if isinstance(inputs, Tensor):
        return inputs.double() if inputs.is_floating_point() else inputs
    return {k: _doubled(v) if isinstance(v, Tensor) else v for k, v in inputs.items()}
