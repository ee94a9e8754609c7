"""Fewer hidden units: what a recipe may start from."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

import secateur
from secateur.apply.masking import mask
from secateur.planning.by_hand import plan_by_hand

PICTURE = torch.zeros(1, 1, 28, 28)


def narrowed(whole: nn.Module, units: Mapping[str, int]) -> nn.Module:
    """A copy with the hidden units that have the largest weights, so many of each layer."""
    weights = dict(whole.named_parameters())
    sizes = {layer: weights[f"{layer}.weight"].flatten(1).norm(dim=1) for layer in units}
    keep = {layer: size.topk(units[layer]).indices.sort().values.tolist() for layer, size in sizes.items()}
    plan = plan_by_hand(secateur.trace(whole, PICTURE), keep)
    small: nn.Module = secateur.shrink(mask(whole, plan), plan)
    return small.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
