"""Is the masked network the shrunk network? Asked with random numbers strong enough not to be fooled.

Freshly initialised weights are so small that a misaligned transformer differs by 6e-6 and would pass a loose check.
So the structure is filled with strong random weights, norm statistics and biases, in double precision, where right
networks agree to about 1e-12 and wrong ones differ by 1e-2 and more.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from secateur.apply.masking import mask_
from secateur.core.errors import VerificationError
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.graph.cut import cut_

#: Right networks stay below 1e-11, wrong ones above 1e-3.
THRESHOLD = 1e-7


def verify(model: nn.Module, plan: PruningPlan, *, threshold: float = THRESHOLD) -> float:
    """Compare masked and shrunk versions of `model`'s structure on random weights and inputs, in float64.

    Args:
        model: a network of the traced structure, not masked; only its structure matters, and it is not touched.
        plan: a structured plan.
        threshold: largest relative difference that passes.

    Returns:
        The largest relative difference that was seen.

    Raises:
        VerificationError: the difference is above `threshold`, or either network does not run.
    """
    example = Example.from_spec(plan.graph.inputs, generator(0, "verify")).map(_double)
    masked = strengthen_(copy.deepcopy(model).eval())
    shrunk = copy.deepcopy(masked)
    mask_(masked, plan)
    cut_(shrunk, plan.graph, plan.kept)
    try:
        seen = difference(outputs(masked, example), outputs(shrunk, example))
    except Exception as error:  # whatever the user's forward raises on cut tensors is the finding
        raise VerificationError(
            f"the shrunk network does not run: {type(error).__name__}: {error}. Your model is untouched. "
            f"Freeze the groups of the module that fails, and please report the model. Plan: {_widths(plan)}."
        ) from error
    if not seen <= threshold:
        raise VerificationError(
            f"masked and shrunk outputs differ by {seen:.1e} (allowed {threshold:.0e}) on random weights. "
            f"Your model is untouched. This is a fault of the channel graph: freeze the groups at fault "
            f"and please report the model. Plan: {_widths(plan)}.",
            seen,
        )
    return seen


def strengthen_(model: nn.Module) -> nn.Module:
    """Fill `model` with strong random numbers in float64: weights by fan-in, vectors of size about one, any sign."""
    model.double()
    with torch.no_grad():
        for name, p in model.named_parameters():
            rng = generator(1, name)
            noise = torch.randn(p.shape, generator=rng, dtype=torch.float64)
            fan_in = max(p[0].numel(), 1) if p.ndim else 1
            if p.ndim > 1:
                p.copy_(noise * (2.0 / fan_in) ** 0.5)
            else:
                p.copy_((0.5 + torch.rand(p.shape, generator=rng, dtype=torch.float64)) * torch.sign(noise))
        for name, b in model.named_buffers():
            if name.rpartition(".")[2] in ("running_mean", "running_var") and b.is_floating_point():
                b.copy_(0.5 + torch.rand(b.shape, generator=generator(1, name), dtype=torch.float64))
    return model


def outputs(model: nn.Module, example: Example) -> list[Tensor]:
    """Every tensor that `model` returns, in eval mode without gradients, leaving its mode and the global RNG alone."""
    modes = {m: m.training for m in model.modules()}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            found = example.call(model.eval())
    finally:
        for module, mode in modes.items():
            module.training = mode
    leaves: list[Any] = tree_leaves(found)
    leaves += [x for leaf in leaves if hasattr(leaf, "__dict__") for x in tree_leaves(vars(leaf))]
    return [x for x in leaves if isinstance(x, Tensor)]


def difference(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Largest absolute difference over the largest absolute value, over all outputs; infinite where shapes differ."""
    if [x.shape for x in a] != [x.shape for x in b]:
        return float("inf")
    worst = 0.0
    for x, y in zip(a, b, strict=True):
        x, y = x.double(), y.double()
        if not bool(torch.isfinite(x).all() and torch.isfinite(y).all()):
            return float("nan")
        if x.numel():
            worst = max(worst, float((x - y).abs().max()) / max(float(x.abs().max()), 1e-30))
    return worst


def observed(masked: nn.Module, shrunk: nn.Module, example: Example) -> float:
    """Largest relative difference of the two networks as they are, on `example`."""
    return difference(outputs(masked, example), outputs(shrunk, example))


def _double(x: Tensor) -> Tensor:
    return x.double() if x.is_floating_point() else x


def _widths(plan: PruningPlan) -> str:
    cut = {b.name: f"{plan.width(b.name)}/{b.units}" for b in plan.blocks if plan.width(b.name) < b.units}
    return ", ".join(f"{k} {v}" for k, v in cut.items())
