"""fold_constant: the dense network with removed channels held at their means, which come from running it in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from secateur.core.plan import PruningPlan
from secateur.granularity import Channel
from secateur.repair import FoldConstant


def network() -> nn.Module:
    """No padding behind the first layer: at a border a constant would not be one."""
    return o.seeded_(
        nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.Sigmoid(), nn.Conv2d(8, 6, (3, 2)), nn.Tanh(), nn.Flatten())
    )


def error() -> float:
    """Of the outputs, where the removed channels are no constants at all: both sides hold them at their means."""
    model, data = network(), o.batches(3)
    plan = c.cut(model, data, Channel())
    student = c.repaired([FoldConstant()], model, data, plan)
    gone = gone_of(plan)
    with torch.no_grad():
        maps = np.concatenate([torch.sigmoid(model[0](x)).numpy() for x, _ in data])  # type: ignore[index]
        means = [sum(maps[:, channel].ravel().tolist()) / maps[:, channel].size for channel in gone]
        handle = model[1].register_forward_hook(held(gone, means))  # type: ignore[index]
        try:
            return max(o.worst(student(x), model(x)) for x, _ in data)
        finally:
            handle.remove()


def gone_of(plan: PruningPlan) -> list[int]:
    """The channels between the two layers that go."""
    (keep,) = plan.kept.values()
    return [channel for channel, stays in enumerate(keep.tolist()) if not stays]


def held(channels: list[int], means: list[float]) -> Callable[[nn.Module, Any, Tensor], Tensor]:
    """A hook that puts a constant in the place of some channels."""

    def hook(module: nn.Module, inputs: Any, output: Tensor) -> Tensor:
        output = output.clone()
        for channel, mean in zip(channels, means, strict=True):
            output[:, channel] = mean
        return output

    return hook
