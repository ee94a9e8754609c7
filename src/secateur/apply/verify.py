"""Is the masked network the shrunk network? Asked with random numbers strong enough not to be fooled.

Freshly initialised weights are so small that a misaligned transformer differs by 6e-6 and would pass a loose check.
So the structure is filled with strong random weights, norm statistics and biases, in double precision, where right
networks agree to about 1e-12 and wrong ones differ by 1e-2 and more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from secateur.apply.masking import mask_
from secateur.core.copying import copied
from secateur.core.errors import VerificationError
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.graph.cut import cut_
from secateur.graph.record import tensors_in

#: Right networks stay below 1e-11, wrong ones above 1e-3.
THRESHOLD = 1e-7


@dataclass(frozen=True, slots=True)
class Trial:
    """One way to fill a network with numbers.

    Attributes:
        positive: no weight is negative, for networks that take roots or logarithms of a parameter.
        double: in float64; otherwise in the types that the network has, for forwards that insist on them.
        threshold: largest relative difference that passes.
    """

    positive: bool
    double: bool
    threshold: float


#: In this order: the first in which the masked network gives numbers decides.
TRIALS = (
    Trial(False, True, THRESHOLD),
    Trial(True, True, THRESHOLD),
    Trial(False, False, 1e-4),
    Trial(True, False, 1e-4),
)


def verify(model: nn.Module, plan: PruningPlan) -> float:
    """Compare masked and shrunk versions of `model`'s structure on strong random weights and inputs.

    Args:
        model: a network of the traced structure, not masked; only its structure matters, and it is not touched.
        plan: a structured plan.

    Returns:
        The largest relative difference that was seen.

    Raises:
        VerificationError: the difference is too large, the shrunk network does not run, or the masked one gives no
            finite numbers whatever the weights.
    """
    device = next((t.device for t in model.parameters()), torch.device("cpu"))
    for trial in TRIALS:
        example = Example.from_spec(plan.graph.inputs, generator(0, "verify")).map(lambda x: x.to(device))
        example = example.map(_double) if trial.double else example
        masked = strengthen_(copied(model).eval(), positive=trial.positive, double=trial.double)
        shrunk = copied(masked)
        mask_(masked, plan)
        wanted = _numbers(masked, example)
        if wanted is not None:
            cut_(shrunk, plan.graph, plan.kept)
            return _checked(wanted, masked, shrunk, example, trial, plan)
    raise VerificationError(
        "the masked network gives no finite numbers on random weights, of either sign, in float64 or in its own types, "
        "so it cannot be compared with the shrunk one. Your model is untouched; shrink(..., verify=False) skips this."
    )


def _numbers(masked: nn.Module, example: Example, *, training: bool = False, seed: int = 0) -> list[Tensor] | None:
    """What the masked network returns; None where it does not run or its answer is NaN or nothing but infinite."""
    try:
        found = outputs(masked, example, training=training, seed=seed)
    except Exception:  # it insists on its own types or batch size, or does not train: there is nothing to compare with
        return None
    filled = [x for x in found if x.numel()]
    if any(bool(torch.isnan(x).any()) for x in filled):
        return None
    return found if not filled or any(bool(torch.isfinite(x).any()) for x in filled) else None


def _checked(
    wanted: list[Tensor], masked: nn.Module, shrunk: nn.Module, example: Example, trial: Trial, plan: PruningPlan
) -> float:
    try:
        seen = max(difference(wanted, outputs(shrunk, example)), *_further_gaps(masked, shrunk, example.wider()))
    except Exception as error:  # whatever the user's forward raises on cut tensors is the finding
        raise VerificationError(
            f"the shrunk network does not run: {type(error).__name__}: {error}. Your model is untouched. "
            f"Freeze the groups of the module that fails, and please report the model. Plan: {_widths(plan)}."
        ) from error
    if not seen <= trial.threshold:
        raise VerificationError(
            f"masked and shrunk outputs differ by {seen:.1e} (allowed {trial.threshold:.0e}) on random weights. "
            f"Your model is untouched. This is a fault of the channel graph: freeze the groups at fault "
            f"and please report the model. Plan: {_widths(plan)}.",
            seen,
        )
    return seen


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
        for name, p in model.named_parameters():
            rng = generator(1, name)
            noise = torch.randn(p.shape, generator=rng, dtype=torch.float64)
            fan_in = max(p[0].numel(), 1) if p.ndim else 1
            size = 0.5 + torch.rand(p.shape, generator=rng, dtype=torch.float64)
            strong = noise * (2.0 / fan_in) ** 0.5 if p.ndim > 1 else size * torch.sign(noise)
            p.copy_(strong.abs() if positive else strong)
        for name, b in model.named_buffers():
            if name.rpartition(".")[2] in ("running_mean", "running_var") and b.is_floating_point():
                b.copy_(0.5 + torch.rand(b.shape, generator=generator(1, name), dtype=torch.float64))
    return model


def _further_gaps(masked: nn.Module, shrunk: nn.Module, wider: Example) -> list[float]:
    """Differences on one sample more, in eval and in training mode, each where the masked network gives numbers."""
    gaps = [0.0]
    more = _numbers(masked, wider)
    if more is not None:
        gaps.append(difference(more, outputs(shrunk, wider)))
    drawn, again = (_numbers(masked, wider, training=True, seed=seed) for seed in (0, 1))
    if drawn is not None and again is not None:
        trained = outputs(shrunk, wider, training=True)
        same_shape = [x.shape for x in trained] == [x.shape for x in drawn]
        # What training mode draws at random differs from width to width, so only sizes can be compared then.
        random = difference(drawn, again) != 0
        gaps.append((0.0 if same_shape else float("inf")) if random else difference(drawn, trained))
    return gaps


def outputs(model: nn.Module, example: Example, *, training: bool = False, seed: int = 0) -> list[Tensor]:
    """Every tensor that `model` returns, without gradients, leaving its mode and the global random state alone.

    Args:
        model: any module.
        example: its inputs.
        training: the mode to run it in.
        seed: for whatever the forward pass draws.
    """
    modes = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
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


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _widths(plan: PruningPlan) -> str:
    cut = {b.name: f"{plan.width(b.name)}/{b.units}" for b in plan.blocks if plan.width(b.name) < b.units}
    return ", ".join(f"{k} {v}" for k, v in cut.items())
