"""`equalize_`: channels between two layers are scaled so that both layers use the range of each as fully."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.example import Example
from secateur.quantize.layers import Layer, changed_where_it_holds_, followers

#: f(s x) = s f(x) for s > 0, so a scale may move through.
_HOMOGENEOUS = (nn.ReLU, nn.LeakyReLU, nn.Identity, nn.Dropout, nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d)


@torch.no_grad()
def equalize_(model: nn.Module, example_inputs: Any) -> int:
    """Equalise neighbouring layers, in place, without changing what the network computes.

    Nagel, van Baalen, Blankevoort and Welling, *Data-Free Quantization Through Weight Equalization and Bias
    Correction*, ICCV 2019, Eq. 11: with r1 and r2 the largest weights of channel i in the layer that makes it and in
    the one that reads it, the first is divided by s = sqrt(r1 r2) / r2 and the second multiplied by it, so that both
    become sqrt(r1 r2). It serves weights that have one scale for the whole tensor.

    A scale moves through ReLU, pooling and dropout and not through ReLU6 or any other activation; layers around such
    are left alone, and so is every pair after which the network answers otherwise (because of a skip, say).

    Args:
        model: in eval mode, norms folded (`fold_norms`).
        example_inputs: what it is run on.

    Returns:
        How many pairs of layers were equalised.
    """
    example = Example.of(example_inputs)
    pairs = _pairs(model, example)
    return changed_where_it_holds_(model, example, [_equalising(first, second) for first, second in pairs])


def _pairs(model: nn.Module, example: Example) -> list[tuple[Any, Any]]:
    """Layers that follow each other with nothing but homogeneous modules between."""
    after: dict[str, list[str]] = {}
    for first, second in followers(model, example):
        after.setdefault(first, []).append(second)
    found = []
    for name, module in model.named_modules():
        if isinstance(module, Layer):
            here = after.get(name, [])
            while len(here) == 1 and isinstance(model.get_submodule(here[0]), _HOMOGENEOUS):
                here = after.get(here[0], [])
            ends = [model.get_submodule(each) for each in here]
            found += [(module, end) for end in ends if isinstance(end, Layer) and len(here) == 1]
    return found


def _equalising(first: Any, second: Any) -> Callable[[], Callable[[], None]]:
    def change() -> Callable[[], None]:
        touched = [p for p in (first.weight, first.bias, second.weight) if p is not None]
        before = [p.detach().clone() for p in touched]
        scale = _scale(first, second)
        if scale is not None:
            _divide_(first.weight, scale, 0)
            if first.bias is not None:
                first.bias.div_(scale)
            _divide_(_by_input(second), 1 / scale, 1)

        def undo() -> None:
            for parameter, value in zip(touched, before, strict=True):
                parameter.copy_(value)

        return undo

    return change


def _scale(first: Any, second: Any) -> Tensor | None:
    """None where the channels of one are not the inputs of the other, after a flatten for instance."""
    reads = _by_input(second)
    if len(first.weight) != reads.shape[1]:
        return None
    made = first.weight.flatten(1).abs().amax(1)
    read = reads.transpose(0, 1).flatten(1).abs().amax(1)
    alive = (made > 0) & (read > 0)
    return torch.where(alive, (made / torch.where(alive, read, 1.0)).sqrt(), 1.0)


def _by_input(layer: Any) -> Tensor:
    """A view of the weight whose dim 1 counts the layer's inputs; of a depthwise convolution, as one that has them."""
    weight: Tensor = layer.weight
    groups = getattr(layer, "groups", 1)
    if groups == 1:
        return weight
    # (groups * outputs, inputs, ..) -> (outputs, groups * inputs, ..): shares memory where one of them is 1
    outputs = len(weight) // groups
    apart = weight.view(groups, outputs, *weight.shape[1:]).transpose(0, 1)
    return apart.flatten(1, 2) if weight.shape[1] == 1 else apart.new_zeros(outputs, 0)


def _divide_(weight: Tensor, scale: Tensor, dim: int) -> None:
    shape = [1] * weight.ndim
    shape[dim] = -1
    weight.div_(scale.view(shape))
