"""Is the masked network the shrunk network? Asked with random numbers strong enough not to be fooled.

Freshly initialised weights are so small that a misaligned transformer differs by 6e-6 and would pass a loose check.
So the structure is filled with strong random weights, norm statistics and biases, with which wrong networks differ by
1e-2 and more. Right ones agree to about 1e-6 in float32, which settles it; where they do not, for they are wrong or
ill-conditioned, float64 decides, in which right ones agree to about 1e-12, if need be with float64 wherever the forward
pass asks for float32.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cache
from zlib import crc32

import torch
from torch import Tensor, nn

from secateur.apply.masking import silence_
from secateur.apply.steady import Steady
from secateur.apply.wide import Wide
from secateur.core.copying import copied
from secateur.core.errors import VerificationError
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.graph.cut import cut_copy
from secateur.graph.record import plain_operators, tensors_in

#: In float64 right networks stay below 1e-11, wrong ones above 1e-3.
THRESHOLD = 1e-7

#: Rounding that a network amplifies beyond this makes a comparison in float64 worthless.
_ROUNDING = 1e-3

#: So many random numbers fill every tensor, over and over: a prime, so that no two rows of a matrix are equal.
_PERIOD = 131_071

#: Bytes of parameters from which on garbage is collected between trials; that takes as long as a small network's pass.
_LARGE = 2**28


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to fill a network with numbers.

    Attributes:
        dtype: the type of all floats; None for the types that the network has, for forwards that insist on them.
        threshold: largest relative difference that passes.
        positive: no weight is negative, for networks that take roots or logarithms of a parameter.
        final: whether a larger difference is a finding; if not, the next trial is asked.
        wide: float64 also where the forward pass asks for float32, if it can do without.
    """

    dtype: torch.dtype | None
    threshold: float
    positive: bool = False
    final: bool = True
    wide: bool = False


#: In this order: the first that agrees decides, or the first final one in which the masked network gives numbers.
TRIALS = (
    Trial(torch.float32, 1e-5, final=False),
    Trial(torch.float64, THRESHOLD, final=False),
    Trial(torch.float64, THRESHOLD, wide=True),
    Trial(torch.float64, THRESHOLD, positive=True, wide=True),
    Trial(None, 1e-4),
    Trial(None, 1e-4, positive=True),
)


def verify(model: nn.Module, plan: PruningPlan) -> float:
    """Compare masked and shrunk versions of `model`'s structure on strong random weights and inputs.

    Both run in eval mode on inputs like the example and one sample more, and in training mode without that one. A
    network in float64 is asked in float64 at once, any other in float32 first.

    Args:
        model: a network of the traced structure, not masked; only its structure matters, and it is not touched.
        plan: a structured plan.

    Returns:
        The largest relative difference that was seen.

    Raises:
        VerificationError: the difference is too large, the shrunk network does not run, or the masked one gives no
            finite numbers whatever the weights.
        IncompatibleError: the plan was made for another structure.
    """
    plan.check_fits(model)
    with plain_operators():  # fused encoders of PyTorch's answer zero for padding, which they do not elsewhere
        return _verified(model, plan)


def _verified(model: nn.Module, plan: PruningPlan) -> float:
    precise = any(p.dtype is torch.float64 for p in model.parameters())
    for trial in TRIALS[precise:]:
        seen = _tried(model, plan, trial)
        if seen is not None and seen.gap <= trial.threshold:
            return seen.gap
        if seen is not None and trial.final:
            raise _different(seen, trial.threshold, plan)
        if sum(p.nbytes for p in model.parameters()) > _LARGE:
            gc.collect()  # modules may refer to themselves, and the next pair would not fit beside this
    raise VerificationError(
        "the masked network gives no finite numbers on random weights, of either sign, in float64 or in its own types, "
        "so it cannot be compared with the shrunk one. Your model is untouched; shrink(..., verify=False) skips this."
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """The largest difference, and the mode in which it was seen."""

    gap: float
    mode: str = "eval"


def _tried(model: nn.Module, plan: PruningPlan, trial: Trial) -> _Seen | None:
    """The difference that a trial sees; its networks are gone when it returns."""
    example = _example(model, plan, trial.dtype)
    masked, shrunk = _pair(model, plan, trial)
    seen = None
    for mode in (Wide, nullcontext) if trial.wide else (nullcontext,):
        with mode():
            seen = _seen(masked, shrunk, example, trial, plan) if seen is None else seen
    return seen


def _seen(masked: nn.Module, shrunk: nn.Module, example: Example, trial: Trial, plan: PruningPlan) -> _Seen | None:
    """The difference that a trial sees; None where it cannot say: no numbers, or nothing but amplified rounding."""
    found = _first_answer(masked, (example.wider(), example), training=False)
    if found is None:
        return None
    try:
        gap = _gap(found, outputs(shrunk, found.example), masked, trial)
        if gap is None or gap > trial.threshold:
            return None if gap is None else _Seen(gap)
        trained = _gap_in_training(masked, shrunk, example, trial)
        return _Seen(gap) if trained <= gap else _Seen(trained, "training")
    except Exception as error:  # whatever the user's forward raises on cut tensors is the finding
        if trial.final:
            raise _broken(error, plan) from error
        return None


def _example(model: nn.Module, plan: PruningPlan, dtype: torch.dtype | None) -> Example:
    device = next((t.device for t in model.parameters()), torch.device("cpu"))
    example = Example.from_spec(plan.graph.inputs, generator(0, "verify"))
    return example.map(lambda x: x.to(device, dtype if x.is_floating_point() else None))


def _pair(model: nn.Module, plan: PruningPlan, trial: Trial) -> tuple[nn.Module, nn.Module]:
    """The masked and the shrunk network, filled with the same numbers."""
    # Values of parameters are not copied, they are overwritten.
    blank = {id(p): _blank(p, trial.dtype) for p in model.parameters() if type(p) is nn.Parameter}
    masked = copied(model, blank).eval()
    if trial.dtype is torch.float32:
        masked.float()
    strengthen_(masked, positive=trial.positive, double=trial.dtype is torch.float64)
    shrunk = cut_copy(masked, plan.graph, plan.channels, plan.removed)
    return silence_(masked, plan), shrunk


def _blank(parameter: nn.Parameter, dtype: torch.dtype | None) -> nn.Parameter:
    """Memory for a parameter of this shape; of `dtype`, if it is a float."""
    kind = dtype if parameter.is_floating_point() else None
    return nn.Parameter(torch.empty_like(parameter, dtype=kind), parameter.requires_grad)


@dataclass(frozen=True, slots=True, eq=False)
class _Answer:
    """What the masked network returned, and to what."""

    numbers: list[Tensor]
    example: Example
    training: bool


def _first_answer(masked: nn.Module, examples: Iterable[Example], *, training: bool) -> _Answer | None:
    """The masked network's answer to the first of `examples` that it gives numbers for."""
    for example in examples:
        numbers = _numbers(masked, example, training=training)
        if numbers is not None:
            return _Answer(numbers, example, training)
    return None


def _numbers(masked: nn.Module, example: Example, *, training: bool, seed: int = 0) -> list[Tensor] | None:
    """What the masked network returns; None where it does not run or its answer is NaN or nothing but infinite."""
    try:
        found = outputs(masked, example, training=training, seed=seed)
    except Exception:  # it insists on its own types or batch size, or does not train: there is nothing to compare with
        return None
    filled = [x for x in found if x.numel()]
    if any(bool(torch.isnan(x).any()) for x in filled):
        return None
    return found if not filled or any(bool(torch.isfinite(x).any()) for x in filled) else None


def _gap(answer: _Answer, found: list[Tensor], masked: nn.Module, trial: Trial) -> float | None:
    """The difference of what was found from the masked network's answer; zero where it may be rounding, amplified.

    None if that is no small matter any more, and nothing can be told.
    """
    gap = difference(answer.numbers, found)
    if trial.dtype is not torch.float64 or gap <= trial.threshold:
        return gap
    if not gap < 100 * _tremor(masked, answer, trial.positive):
        return gap
    return 0.0 if gap < _ROUNDING else None


def _tremor(masked: nn.Module, answer: _Answer, positive: bool) -> float:
    """How much the answer changes when weights change in their last digit: rounding cannot be told from less.

    Very deep networks, and batch norms over a handful of values, amplify it so much that it shows even in float64.
    """
    dead = {name: p == 0 for name, p in masked.named_parameters() if p.is_floating_point()}
    with torch.no_grad():
        for p in masked.parameters():
            if p.is_floating_point():
                p.mul_(1 + torch.finfo(p.dtype).eps * _fair(p))
        moved = _numbers(masked, answer.example, training=answer.training)
        # Weights are drawn again, not kept: a second network in float64 may be too much.
        _strengthen_parameters_(masked, positive)
        for name, p in masked.named_parameters():
            if name in dead:
                p.masked_fill_(dead[name], 0)
    return 0.0 if moved is None else difference(answer.numbers, moved)


def _fair(like: Tensor) -> Tensor:
    """One and minus one at random, in the shape of a tensor."""
    noise = _noise("normal", False, like.dtype, like.device)[:_PERIOD]
    return torch.sign(noise.repeat(-(-like.numel() // _PERIOD))[: like.numel()]).view(like.shape)


def _gap_in_training(masked: nn.Module, shrunk: nn.Module, example: Example, trial: Trial) -> float:
    """The difference in training mode, zero where the masked network does not train."""
    found = _first_answer(masked, (example, example.wider()), training=True)
    if found is None:
        return 0.0
    trained = outputs(shrunk, found.example, training=True)
    gap = _gap(found, trained, masked, trial) or 0.0  # where rounding is all there is, sizes can be compared
    if gap > trial.threshold and [x.shape for x in trained] == [x.shape for x in found.numbers]:
        again = _numbers(masked, found.example, training=True, seed=1)
        if again is None or difference(found.numbers, again) > trial.threshold:
            return 0.0  # what it draws at random differs from width to width, so only sizes can be compared
    return gap


def _broken(error: Exception, plan: PruningPlan) -> VerificationError:
    return VerificationError(
        f"the shrunk network does not run: {type(error).__name__}: {error}. Your model is untouched. "
        f"Freeze the groups of the module that fails, and please report the model. Plan: {_widths(plan)}."
    )


def _different(seen: _Seen, allowed: float, plan: PruningPlan) -> VerificationError:
    mode = "in training mode alone " if seen.mode == "training" else ""
    why = (
        "The forward pass does something else when it trains (multiplies by a width, say), and tracing did not see it"
        if mode
        else "This is a fault of the channel graph"
    )
    return VerificationError(
        f"masked and shrunk outputs differ {mode}by {seen.gap:.1e} (allowed {allowed:.0e}) on random weights. "
        f"Your model is untouched. {why}: freeze the groups at fault and please report the model. "
        f"Plan: {_widths(plan)}.",
        seen.gap,
    )


def strengthen_(model: nn.Module, *, positive: bool = False, double: bool = True) -> nn.Module:
    """Fill `model` with strong random numbers: weights by fan-in, vectors of size about one, norm statistics too.

    Args:
        model: changed in place.
        positive: take absolute values.
        double: turn the model to float64 first.
    """
    if double:
        model.double()
    with torch.no_grad():
        _strengthen_parameters_(model, positive)
        for name, b in model.named_buffers():
            if name.rpartition(".")[2] in ("running_mean", "running_var") and b.is_floating_point():
                _fill_(b, _noise("size", True, b.dtype, b.device), 1.0, name)
    return model


def _strengthen_parameters_(model: nn.Module, positive: bool) -> None:
    for name, p in model.named_parameters():
        noise = _noise("normal" if p.ndim > 1 else "size", positive, p.dtype, p.device)
        fan_in = p.numel() / max(p.shape[0], 1) if p.ndim > 1 else 2.0
        _fill_(p, noise, (2.0 / max(fan_in, 1.0)) ** 0.5, name)


@cache
def _noise(kind: str, positive: bool, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Random numbers, two equal periods of them: normal ones, or of size one half to one and a half and either sign."""
    rng = generator(1, kind)
    noise = torch.randn(_PERIOD, generator=rng, dtype=torch.float64)
    if kind == "size":
        noise = torch.sign(noise) * (0.5 + torch.rand(_PERIOD, generator=rng, dtype=torch.float64))
    return (noise.abs() if positive else noise).to(device, dtype).repeat(2)


def _fill_(tensor: Tensor, noise: Tensor, scale: float, name: str) -> None:
    """Write `scale` times the noise into `tensor`, over and over, from a place on that depends on its name."""
    flat = tensor.view(-1) if tensor.is_contiguous() else tensor.new_empty(tensor.numel())
    start, whole = crc32(name.encode()) % _PERIOD, len(flat) - len(flat) % _PERIOD
    if whole:
        flat[:whole].view(-1, _PERIOD).copy_(noise[start : start + _PERIOD] * scale)
    flat[whole:].copy_(noise[start : start + len(flat) - whole] * scale)
    if not tensor.is_contiguous():
        tensor.copy_(flat.view(tensor.shape))


def outputs(model: nn.Module, example: Example, *, training: bool = False, seed: int = 0) -> list[Tensor]:
    """Every tensor that `model` returns, without gradients, leaving its mode and the global random state alone.

    Args:
        model: any module.
        example: its inputs.
        training: the mode to run it in; in training mode dropout drops nothing.
        seed: for whatever else the forward pass draws.
    """
    modes = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]), Steady() if training else nullcontext():
            torch.default_generator.manual_seed(seed)
            found = example.map(torch.clone).call(model.train(training))  # a forward may write into its inputs
    finally:
        for module, mode in modes.items():
            module.training = mode
    return tensors_in(found)


def difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Largest absolute difference over the largest absolute value, over all outputs.

    Infinite where shapes differ, where one side is infinite and the other is not, and where anything is NaN: networks
    that give no numbers are not known to be equal.
    """
    if [x.shape for x in a] != [x.shape for x in b]:
        return float("inf")
    return max((_relative(x.double(), y.double()) for x, y in zip(a, b, strict=True) if x.numel()), default=0.0)


def _relative(x: Tensor, y: Tensor) -> float:
    finite = torch.isfinite(x)
    # NaN equals nothing, infinities of one sign are equal; NaN must not get into a maximum, which would drop it.
    if not torch.equal(finite, torch.isfinite(y)) or not torch.equal(x[~finite], y[~finite]):
        return float("inf")
    gap = (x[finite] - y[finite]).abs()
    if not gap.numel():
        return 0.0
    return float(gap.max()) / max(float(x[finite].abs().max()), 1e-30)


def _widths(plan: PruningPlan) -> str:
    cut = {b.name: f"{plan.width(b.name)}/{b.units}" for b in plan.blocks if plan.width(b.name) < b.units}
    return ", ".join(f"{k} {v}" for k, v in cut.items())
