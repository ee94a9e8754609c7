"""`round_adaptively_`: whether a weight goes up or down is learned, so that its layer's output stays what it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Batches, Progress
from secateur.core.example import Example
from secateur.core.rng import generator
from secateur.quantize.folding import fold_norms
from secateur.quantize.layers import Look, first_inputs, watched
from secateur.quantize.simulating import input_grids

#: The stretched sigmoid reaches 0 and 1.
_LOW, _HIGH = -0.1, 1.1


@dataclass(frozen=True, kw_only=True, slots=True)
class AdaRound:
    """Settings of `round_adaptively_`.

    Attributes:
        steps: of the optimiser, for each layer.
        lr: its learning rate.
        samples: examples in one step.
        pull: weight of the term that makes decisions final.
        seed: draws the examples.
    """

    steps: int = 500
    lr: float = 1e-2
    samples: int = 32
    pull: float = 0.01
    seed: int = 0


def round_adaptively_(
    simulated: nn.Module,
    model: nn.Module,
    batches: Batches,
    how: AdaRound | None = None,
    *,
    progress: Progress | None = None,
) -> dict[str, tuple[float, float]]:
    """Choose the rounding of all weights of a simulated network, in place, layer by layer in order of execution.

    Nagel, Amjad, van Baalen, Louizos and Blankevoort, *Up or Down? Adaptive Rounding for Post-Training Quantization*,
    ICML 2020, Eq. 21 to 25: with w = s (floor(w/s) + h(V)), minimise ||W x - W' x'||^2 + pull sum (1 - |2 h(V) - 1|^b),
    where x' is what the layers rounded before return, and b falls from 20 to 2 after the first fifth of the steps. A
    layer that would be worse than with all weights rounded to the nearest, on all calibration data, is left so.

    Args:
        simulated: from `simulate`; changed in place.
        model: the network that it came from.
        batches: `(inputs, target)`; a layer's inputs and outputs on all of them are held in memory.
        how: settings.
        progress: called after each layer.

    Returns:
        By layer the mean squared error of its output, rounded to the nearest and as it is now.
    """
    chosen = how or AdaRound()
    whole = fold_norms(model, first_inputs(batches))
    names = list(input_grids(simulated))
    found = {}
    for number, name in enumerate(names, 1):
        wanted = _seen(whole, batches, name)[1]
        given = _seen(simulated, batches, name)[0]
        found[name] = _round_layer_(simulated.get_submodule(name), given, wanted, chosen, name)
        if progress is not None:
            progress("round", number, len(names))
    return found


def _seen(model: nn.Module, batches: Batches, name: str) -> tuple[Tensor, Tensor]:
    """Inputs (on the grid, where there is one) and outputs of a layer on all batches."""
    kept: list[tuple[Tensor, Tensor]] = []

    def note(args: tuple[Any, ...], out: Any) -> None:
        kept.append((args[0], out))

    look: Look = note
    with watched(model, {name: look}), torch.no_grad():
        for inputs, _ in batches:
            Example.of(inputs).call(model)
    return torch.cat([x for x, _ in kept]), torch.cat([y for _, y in kept])


def _round_layer_(layer: Any, given: Tensor, wanted: Tensor, how: AdaRound, name: str) -> tuple[float, float]:
    chain = layer.parametrizations["weight"]
    grid = chain[-1]
    weight = chain.original.detach()
    codes = grid.now(weight)
    step = codes.along(grid.step.detach())
    floor = torch.floor(weight / step)
    rest = (weight / step - floor).clamp(1e-4, 1 - 1e-4)
    low, high = (bound - codes.along(grid.zero) for bound in grid.bounds)
    draw = generator(how.seed, "adaround", name)
    v = (-torch.log((_HIGH - _LOW) / (rest - _LOW) - 1)).requires_grad_(True)  # h(v) = rest
    optimizer = torch.optim.Adam([v], lr=how.lr)
    for number in range(how.steps):
        picked = torch.randint(len(given), (how.samples,), generator=draw)
        up = _soft(v)
        rounded = torch.clamp(floor + up, low, high) * step * grid.keep
        error = (_apply(layer, given[picked], rounded) - wanted[picked]).square().sum() / _count(wanted[picked], layer)
        if number >= how.steps // 5:
            error = error + how.pull * (1 - (2 * up - 1).abs().pow(_sharpness(number, how.steps)))[grid.keep].sum()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    with torch.no_grad():
        adapted = torch.clamp(floor + (_soft(v) > 0.5).to(floor.dtype), low, high) * step * grid.keep
        nearest = codes.values().to(weight)
        errors = [float((_apply(layer, given, w) - wanted).square().mean()) for w in (nearest, adapted)]
        chain.original.copy_(adapted if errors[1] < errors[0] else nearest)
    return errors[0], min(errors)


def _soft(v: Tensor) -> Tensor:
    return torch.clamp(torch.sigmoid(v) * (_HIGH - _LOW) + _LOW, 0, 1)


def _sharpness(step: int, steps: int) -> float:
    return 2 + 18 * (1 - (step - steps // 5) / max(1, steps - steps // 5))


def _count(out: Tensor, layer: nn.Module) -> int:
    """Outputs over which errors are averaged: all but channels, over which the paper sums."""
    return out.numel() // out.shape[-1 if isinstance(layer, nn.Linear) else 1]


def _apply(layer: Any, x: Tensor, weight: Tensor) -> Tensor:
    """The layer with another weight."""
    bias = layer.bias.detach() if layer.bias is not None else None
    if isinstance(layer, nn.Linear):
        return torch.nn.functional.linear(x, weight, bias)
    found: Tensor = layer._conv_forward(x, weight, bias)  # noqa: SLF001  keeps padding and stride
    return found
