"""Layers like another one, with other weights: what stands in for a layer is built of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def weight_of(module: nn.Module) -> Tensor:
    """The weight of a layer to calculate with: detached, float64, on the CPU."""
    assert isinstance(module.weight, Tensor)
    return module.weight.detach().to("cpu", torch.float64)


def bias_size(module: nn.Module) -> int:
    """Entries of the bias."""
    return module.bias.numel() if isinstance(module.bias, Tensor) else 0


def twin(module: nn.Module, weight: Tensor, bias: Tensor | None, **settings: Any) -> nn.Module:
    """A layer of the kind of `module` with this weight, on its device, in its dtype, as trainable and in its mode.

    Args:
        module: a linear layer or a convolution.
        weight: of the new layer; its shape says how many channels there are.
        bias: of the new layer, or None.
        settings: stride, padding, dilation, groups, padding_mode of a convolution, where they are not the defaults.
    """
    assert isinstance(module, nn.Linear | nn.Conv2d)
    common: dict[str, Any] = {"bias": bias is not None, "device": module.weight.device, "dtype": module.weight.dtype}
    layer: nn.Linear | nn.Conv2d
    if isinstance(module, nn.Linear):
        layer = nn.utils.skip_init(nn.Linear, weight.shape[1], weight.shape[0], **common)
    else:
        entering = weight.shape[1] * settings.get("groups", 1)
        layer = nn.utils.skip_init(nn.Conv2d, entering, weight.shape[0], tuple(weight.shape[2:]), **settings, **common)
    with torch.no_grad():
        layer.weight.copy_(weight)
        layer.weight.requires_grad_(module.weight.requires_grad)
        if bias is not None:
            assert layer.bias is not None
            layer.bias.copy_(bias)
            layer.bias.requires_grad_(bias.requires_grad)
    return layer.train(module.training)


def row(module: nn.Module, layers: Sequence[nn.Module]) -> nn.Sequential:
    """Layers one after the other, in the mode of `module`."""
    return nn.Sequential(*layers).train(module.training)


def along(module: nn.Conv2d, dims: tuple[int, ...]) -> dict[str, Any]:
    """The settings of a convolution along some of its two dims, neutral along the other."""

    def pick(value: tuple[int, ...], neutral: int) -> tuple[int, ...]:
        return tuple(v if d in dims else neutral for d, v in enumerate(value))

    padding = module.padding if isinstance(module.padding, str) else pick(module.padding, 0)
    return {
        "stride": pick(module.stride, 1),
        "padding": padding,
        "dilation": pick(module.dilation, 1),
        "padding_mode": module.padding_mode if padding not in ((0, 0), "valid") else "zeros",
    }
