"""`correct_biases_`: what quantization adds to the mean of each output goes out of the bias again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Batches
from secateur.core.example import Example
from secateur.quantize.folding import fold_norms
from secateur.quantize.layers import Look, first_inputs, layers_of, watched


@torch.no_grad()
def correct_biases_(simulated: nn.Module, model: nn.Module, batches: Batches) -> nn.Module:
    """Let every layer of a simulated network return what the original's returns in the mean, channel by channel.

    Nagel, van Baalen, Blankevoort and Welling, *Data-Free Quantization Through Weight Equalization and Bias
    Correction*, ICCV 2019, Sec. 4.2, with means that are measured. On every batch a layer sees what corrected layers
    before it return, so it makes up for what these leave; its bias moves by the mean over all batches.

    Args:
        simulated: from `simulate`; changed in place and returned. Layers without a bias get one.
        model: the network that it came from.
        batches: `(inputs, target)`, walked through once.
    """
    whole = fold_norms(model, first_inputs(batches))
    layers = layers_of(simulated)
    shifts: dict[str, list[Tensor]] = {name: [] for name in layers}
    for inputs, _ in batches:
        wanted: dict[str, Tensor] = {}
        with watched(whole, {name: _note(name, layer, wanted) for name, layer in layers.items()}):
            Example.of(inputs).call(whole)
        hooks = [layers[name].register_forward_hook(_shift(mean, shifts[name])) for name, mean in wanted.items()]
        try:
            Example.of(inputs).call(simulated)
        finally:
            for hook in hooks:
                hook.remove()
    for name, layer in layers.items():
        if shifts[name]:
            shift = torch.stack(shifts[name]).mean(0)
            layer.bias = nn.Parameter(shift if layer.bias is None else layer.bias + shift)
    return simulated


def _note(name: str, layer: Any, means: dict[str, Tensor]) -> Look:
    def note(args: tuple[Any, ...], out: Any) -> None:
        means[name] = channel_means(layer, out)

    return note


def _shift(wanted: Tensor, shifts: list[Tensor]) -> Callable[[nn.Module, tuple[Any, ...], Tensor], Tensor]:
    def correct(layer: nn.Module, args: tuple[Any, ...], out: Tensor) -> Tensor:
        shifts.append(wanted - channel_means(layer, out))
        return out + (shifts[-1] if isinstance(layer, nn.Linear) else shifts[-1].view(-1, *[1] * (out.ndim - 2)))

    return correct


def channel_means(layer: nn.Module, out: Tensor) -> Tensor:
    """The mean of every output channel of a layer over all else."""
    return out.flatten(0, -2).mean(0) if isinstance(layer, nn.Linear) else out.transpose(0, 1).flatten(1).mean(1)
