"""An answer of its own to "are these two networks one?": shares no code with the verification that it watches over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from benchmarks.models.case import Inputs, call

#: Largest difference of networks that are one, in float64 and in their own types: right networks stay below 1e-11
#: and 1e-5, wrong ones above 1e-3.
EQUAL = {True: 1e-7, False: 1e-4}
#: Very deep networks amplify a change of the last digit of their weights to more than this, and are filled otherwise.
CALM = 1e-9


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


@dataclasses.dataclass(frozen=True, slots=True)
class Strong:
    """A model filled with numbers that hide nothing, in eval mode, and how it is to be run.

    Attributes:
        model: the model.
        double: in float64; otherwise in its own types, for forwards that insist on them.
    """

    model: nn.Module
    double: bool

    @property
    def limit(self) -> float:
        """Largest difference of networks that are one."""
        return EQUAL[self.double]


def fill_(model: nn.Module, seed: int, *, positive: bool = False) -> nn.Module:
    """Fill `model` with numbers that hide nothing.

    Matrices are uniform, sized by fan-in; vectors lie between a half and three halves, of either sign; running
    statistics likewise. Small weights, as networks start with, would let a misaligned network pass.

    Args:
        model: changed in place.
        seed: same seed, same numbers.
        positive: no negative number, for networks that take roots or logarithms of a parameter.
    """
    rng = torch.Generator().manual_seed(1000 + seed)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = 2 * torch.rand(parameter.shape, generator=rng, dtype=torch.float64) - 1
            if parameter.ndim > 1:
                numbers = noise * (6 * parameter.shape[0] / max(parameter.numel(), 1)) ** 0.5
            else:
                numbers = torch.where(noise < 0, noise - 1, noise + 1) * 0.75
            parameter.copy_(numbers.abs() if positive else numbers)
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.copy_(0.5 + torch.rand(buffer.shape, generator=rng, dtype=torch.float64))
    return model


def filled(make: Callable[[], nn.Module], inputs: Inputs, seed: int) -> Strong | None:
    """A strong model on which `inputs` give finite numbers; None where neither types nor signs can be found for that.

    Args:
        make: a fresh model each time.
        inputs: what it is run on.
        seed: same seed, same numbers.
    """
    wild: Strong | None = None
    for double, positive in ((True, False), (True, True), (False, False), (False, True)):
        model = fill_(make().double() if double else make(), seed, positive=positive).eval()
        try:
            found = answers(model, inputs, double=double)
        except Exception:  # it does not run in float64: its own types, then
            continue
        if all(bool(torch.isfinite(x).all()) for x in found):
            maybe = Strong(model, double)
            if not double or tremor(model, inputs, found, double=True) < CALM:
                return maybe
            wild = wild or maybe
    return wild


def still_(model: nn.Module) -> nn.Module:
    """Switch off in place whatever drops at random in training mode, so that training mode can be compared as well."""
    for module in model.modules():
        named_p = "Drop" in type(module).__name__ or type(module).__name__ == "StochasticDepth"
        for name, value in vars(module).items():
            if isinstance(value, float) and ("drop" in name or (name == "p" and named_p)):
                setattr(module, name, 0.0)
    return model


def answers(model: nn.Module, inputs: Inputs, *, double: bool, seed: int = 0) -> list[Tensor]:
    """Every floating-point tensor that `model` returns on `inputs`, in its present mode.

    Args:
        model: the model.
        inputs: what it is run on.
        double: in float64 throughout, also where the forward asks for float32; otherwise as the forward will have it.
        seed: for what the forward draws at random.
    """
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        with AllDouble() if double else nullcontext():
            found = call(model, doubled(inputs) if double else inputs)
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


def tremor(model: nn.Module, inputs: Inputs, wanted: list[Tensor], double: bool) -> float:
    """How far the answers move from `wanted` when every weight moves by one unit in its last digit, up or down."""
    rng = torch.Generator().manual_seed(5)
    before = [p.detach().clone() for p in model.parameters()]
    with torch.no_grad():
        for p in model.parameters():
            up = torch.rand(p.shape, generator=rng) < 0.5
            p.copy_(torch.nextafter(p, torch.where(up, torch.inf, -torch.inf).to(p.dtype)))
        moved = gap(wanted, answers(model, inputs, double=double))
        for p, value in zip(model.parameters(), before, strict=True):
            p.copy_(value)
    return moved


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


def doubled(inputs: Inputs) -> Inputs:
    """The inputs in float64."""
    if isinstance(inputs, Tensor):
        return inputs.double() if inputs.is_floating_point() else inputs
    return {k: doubled(v) if isinstance(v, Tensor) else v for k, v in inputs.items()}
