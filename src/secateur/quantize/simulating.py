"""`simulate`: a network that computes, in floating point, what integers would; it can be trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Batches, Quantizer
from secateur.core.errors import IncompatibleError, UnknownNameError
from secateur.core.example import Example
from secateur.core.quantized import Quantized
from secateur.core.ranges import Range, check_range, find_range, grid
from secateur.core.rng import generator
from secateur.quantize.folding import fold_norms
from secateur.quantize.layers import Look, first_inputs, layers_of, watched
from secateur.quantize.trainable import LearnedStep, round_through, scale_gradient
from secateur.quantize.weights import quantize
from secateur.quantizers import Uniform

#: Values of an activation that are kept of each batch, drawn by chance, beside its extremes.
_KEPT = 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class Activations:
    """How the inputs of layers are quantized: one asymmetric, unsigned grid for each.

    What a ReLU returns has no values below 0, so its zero point is 0 and all codes serve what is above.

    Attributes:
        bits: of a code.
        range: what the grid covers: "minmax", "percentile", "mse" or "kl".
        percentile: for that range.
    """

    bits: int = 8
    range: Range = "minmax"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        check_range(self.range)
        if not 2 <= self.bits <= 16:
            raise IncompatibleError(f"bits must lie in 2..16, got bits={self.bits!r}.")

    @property
    def bounds(self) -> tuple[int, int]:
        """Smallest and largest code."""
        return 0, 2**self.bits - 1


class InputGrid(nn.Module):
    """The grid of a layer's input; runs before the layer. Its step is trained as LSQ trains it.

    Attributes:
        step: `(1,)`.
        bounds: smallest and largest code.
    """

    zero: Tensor

    def __init__(self, step: Tensor, zero: Tensor, bounds: tuple[int, int]) -> None:
        super().__init__()
        self.step = nn.Parameter(step)
        self.register_buffer("zero", zero)
        self.bounds = bounds

    def forward(self, x: Tensor) -> Tensor:
        """On the grid."""
        step = scale_gradient(self.step, 1 / sqrt(max(1, x[0].numel()) * self.bounds[1]))
        return (round_through(torch.clamp(x / step + self.zero, *self.bounds)) - self.zero) * step

    def codes(self, x: Tensor) -> Tensor:
        """The codes, int32."""
        return torch.round(torch.clamp(x / self.step + self.zero, *self.bounds)).to(torch.int32)


def simulate(
    model: nn.Module,
    batches: Batches,
    *,
    weights: Quantizer | None = None,
    activations: Activations | None = None,
    frozen: Sequence[str] = (),
    learn_steps: bool = False,
) -> nn.Module:
    """A copy of `model` that computes with the values of integers: quantization after training, or its start.

    Norms are folded into the layers before them. Then the weights of all convolutions and linear layers are on grids,
    and so are their inputs; sums, biases and all else stay in floating point. Train it with any loop
    (quantization-aware training): gradients go straight through the rounding and stop where a range cuts off.
    `dequantize_` and `remove_input_grids_` make it an ordinary network again, and `export_int8` hands it to a runtime.

    Args:
        model: dense, shrunk or masked; masks are baked in, and what they silence stays zero. It is not touched.
        batches: `(inputs, target)`; ranges are taken from the inputs.
        weights: an even grid; by default eight bits, symmetric, one scale for each output channel.
        activations: how inputs of layers are quantized; by default eight bits, over all that was seen.
        frozen: patterns of names of layers that stay in floating point.
        learn_steps: train the steps of all grids too (LSQ: Esser, McKinstry, Bablani, Appuswamy and Modha, *Learned
            Step Size Quantization*, ICLR 2020). If not they stay as calibrated; weights and biases are trained.

    Returns:
        The copy, in eval mode.

    Raises:
        IncompatibleError: `weights` gives no even grid.
        UnknownNameError: a pattern matches no layer.
    """
    how, wanted = weights or Uniform(), activations or Activations()
    if how.bounds is None:
        raise IncompatibleError(f"integers need an even grid, got weights={how!r}, which gives a codebook.")
    student = fold_norms(model, first_inputs(batches))
    names = _unfrozen(list(layers_of(student)), frozen)
    grids = calibrate(student, batches, names, wanted)
    found = quantize(student, how, only=[f"{name}.weight" for name in names], train="steps")
    for name, each in grids.items():
        layer = found.get_submodule(name)
        layer.add_module("input_grid", each)
        layer.register_forward_pre_hook(_on_grid)
    for module in found.modules():
        if isinstance(module, InputGrid | LearnedStep):
            module.step.requires_grad_(learn_steps)
    return found


def calibrate(model: nn.Module, batches: Batches, names: Sequence[str], how: Activations) -> dict[str, InputGrid]:
    """The grid of each layer's input, from what it is given when the batches go through the network.

    Of each batch a few thousand values, drawn by chance, and the extremes are kept.

    Args:
        model: in eval mode.
        batches: walked through once.
        names: of the layers.
        how: bits and range.

    Returns:
        By name, for the layers that ran.
    """
    seen: dict[str, list[Tensor]] = {name: [] for name in names}

    def look(name: str) -> Look:
        draw = generator(0, "calibrate", name)

        def note(args: tuple[Any, ...], out: Any) -> None:
            x = args[0].detach().flatten()
            picked = torch.randint(len(x), (min(_KEPT, len(x)),), generator=draw).to(x.device)
            seen[name].append(torch.cat([x[picked], x.aminmax().min[None], x.aminmax().max[None]]))

        return note

    with watched(model, {name: look(name) for name in names}), torch.no_grad():
        for inputs, _ in batches:
            Example.of(inputs).call(model)
    found = {}
    for name, values in seen.items():
        if values:
            x = torch.cat(values)
            low, high = find_range(x[None], how.range, codes=how.bounds, symmetric=False, percentile=how.percentile)
            step, zero = grid(low, high, how.bounds, symmetric=False)
            found[name] = InputGrid(step.to(x), zero, how.bounds)
    return found


def input_grids(model: nn.Module) -> dict[str, InputGrid]:
    """The grids of layers' inputs by the layer's name."""
    return {name.rpartition(".")[0]: module for name, module in model.named_modules() if isinstance(module, InputGrid)}


def remove_input_grids_(model: nn.Module) -> nn.Module:
    """Let all layers take their inputs as they come again, in place."""
    for name in input_grids(model):
        layer = model.get_submodule(name)
        del layer.input_grid
        hooks = layer._forward_pre_hooks  # noqa: SLF001  a copy of the model has no other handle of them
        for key in [key for key, hook in hooks.items() if hook is _on_grid]:
            del hooks[key]
    return model


@dataclass(frozen=True, slots=True, eq=False)
class IntegerLayer:
    """What hardware computes for one layer: products of codes, summed as whole numbers.

    Formula: y = (sum_k (x_k - z_x) w_k + b) s_x s_w, with b the bias in units of s_x s_w

    Attributes:
        layer: the simulated layer.
        weight: its codes and scales.
        grid: its input's.
    """

    layer: Any
    weight: Quantized
    grid: InputGrid

    def sums(self, codes: Tensor) -> Tensor:
        """Sums of products of codes, int64, without the bias."""
        whole = (codes - self.grid.zero).double()
        assert self.weight.zero is not None
        weights = (self.weight.codes - self.weight.along(self.weight.zero)).double()
        bare = torch.nn.functional.linear
        if isinstance(self.layer, nn.Linear):
            return bare(whole, weights).long()
        # doubles hold whole numbers up to 2 ** 53 exactly, and torch convolves no integers
        found: Tensor = self.layer._conv_forward(whole, weights, None)  # noqa: SLF001  keeps padding and stride
        return found.long()

    def bias(self) -> Tensor:
        """In units of the product of both scales, int64."""
        if self.layer.bias is None:
            return torch.zeros(len(self.weight.codes), dtype=torch.long)
        return torch.round(self.layer.bias.detach().double() / self.unit()).long()

    def unit(self) -> Tensor:
        """What a sum of one stands for, by output channel, float64."""
        assert self.weight.scale is not None
        return self.grid.step.detach().double() * self.weight.scale.double()

    def __call__(self, x: Tensor) -> Tensor:
        """From floating point to floating point, with integers between."""
        shape = [1, -1] + [1] * (x.ndim - 2) if not isinstance(self.layer, nn.Linear) else [-1]
        whole = self.sums(self.grid.codes(x)) + self.bias().view(shape)
        return (whole.double() * self.unit().expand(len(self.weight.codes)).view(shape)).float()


def integer_layers(model: nn.Module) -> dict[str, IntegerLayer]:
    """What integers would compute for each layer of a simulated network, by name."""
    found = {}
    for name, each in input_grids(model).items():
        layer: Any = model.get_submodule(name)
        chain = layer.parametrizations["weight"]
        found[name] = IntegerLayer(layer, chain[-1].now(chain.original.detach()), each)
    return found


def _on_grid(layer: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return layer.input_grid(args[0]), *args[1:]


def _unfrozen(names: Sequence[str], frozen: Sequence[str]) -> list[str]:
    for pattern in frozen:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise UnknownNameError(f"the pattern {pattern!r} matches no layer. Layers: {', '.join(names)}.")
    return [name for name in names if not any(fnmatchcase(name, pattern) for pattern in frozen)]
