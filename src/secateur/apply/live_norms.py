"""Norms whose statistics leave dead units out, so that a masked network computes what the shrunk one will."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from secateur.core.errors import UnsupportedError


class LiveLayerNorm(nn.Module):
    """Layer norm over the last dim, statistics over live entries only; takes over the parameters of the original."""

    live: Tensor

    def __init__(self, norm: nn.LayerNorm, live: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.normalized_shape = norm.normalized_shape
        self.register_buffer("live", live.to(norm.weight.device), persistent=False)
        self.training = norm.training
        self._stands_for = (norm,)  # in a tuple, so that it is not a submodule and its parameters are not listed twice

    def forward(self, x: Tensor) -> Tensor:
        """`(.., units)` to the same shape; dead units come out as zero because gamma and beta are masked."""
        live = self.live.to(x.dtype)
        centred = (x - (x * live).sum(-1, keepdim=True) / live.sum()) * live
        variance = centred.square().sum(-1, keepdim=True) / live.sum()
        out = centred * torch.rsqrt(variance + self.eps) * self.weight
        return out if self.bias is None else out + self.bias

    def original_norm(self) -> nn.Module:
        """The norm this one stands for, with the same parameter objects, in the mode of this one."""
        return self._stands_for[0].train(self.training)


class LiveGroupNorm(nn.Module):
    """Group norm whose statistics leave dead channels out; takes over the parameters of the original."""

    live: Tensor

    def __init__(self, norm: nn.GroupNorm, live: Tensor) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.num_groups, self.num_channels = norm.num_groups, norm.num_channels
        self.register_buffer("live", live.to(norm.weight.device), persistent=False)
        self.training = norm.training
        self._stands_for = (norm,)  # in a tuple, so that it is not a submodule and its parameters are not listed twice

    def forward(self, x: Tensor) -> Tensor:
        """`(B, channels, ..)` to the same shape."""
        batch, rest = x.shape[0], x.shape[2:]
        grouped = x.reshape(batch, self.num_groups, self.num_channels // self.num_groups, -1)
        live = self.live.to(x.dtype).view(1, self.num_groups, -1, 1)
        count = live.sum(2, keepdim=True) * grouped.shape[-1]
        centred = (grouped - (grouped * live).sum((2, 3), keepdim=True) / count) * live
        variance = centred.square().sum((2, 3), keepdim=True) / count
        out = (centred * torch.rsqrt(variance + self.eps)).reshape(batch, self.num_channels, *rest)
        shape = (1, self.num_channels, *[1] * len(rest))
        return out * self.weight.view(shape) + self.bias.view(shape)

    def original_norm(self) -> nn.Module:
        """The norm this one stands for, with the same parameter objects, in the mode of this one."""
        return self._stands_for[0].train(self.training)


def live_norm(norm: nn.Module, live: Tensor) -> nn.Module:
    """The live-statistics twin of `norm`, with the same hooks; `live` is boolean over its units."""
    match norm:
        case nn.LayerNorm():
            return _with_hooks(LiveLayerNorm(norm, live), norm)
        case nn.GroupNorm():
            return _with_hooks(LiveGroupNorm(norm, live), norm)
        case _:
            raise UnsupportedError(
                f"{type(norm).__name__} has no twin with live statistics. Allowed are LayerNorm and GroupNorm; "
                "freeze the group that it normalises."
            )


def _with_hooks(twin: nn.Module, norm: nn.Module) -> nn.Module:
    """Let `twin` call the very hooks of `norm`, so that a handle removes them from both."""
    for name, value in vars(norm).items():
        if "hook" in name:
            setattr(twin, name, value)
    return twin
