"""batch_norm: mean and variance of every batch with two passes in NumPy, norm after norm, then their plain average."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from benchmarks.criteria.oracles import _cutting as c
from benchmarks.criteria.oracles import _layers as o
from secateur.granularity import Channel
from secateur.repair import BatchNorm


def network() -> nn.Module:
    """Two norms in a row, so that the second sees what the first makes of each batch."""
    model = o.seeded_(
        nn.Sequential(
            nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 6, 2), nn.BatchNorm2d(6), nn.Tanh()
        )
    )
    return nn.Sequential(*model, nn.Flatten(), o.seeded_(nn.Linear(24, 3))).double().eval()


def error(eps: float = 1e-5) -> float:
    model, data = network(), o.batches(4)
    plan = c.cut(model, data, Channel())
    student = c.repaired([BatchNorm()], model, data, plan)
    masked = c.repaired([], model, data, plan)
    sums: dict[int, list[tuple[o.Array, o.Array]]] = {1: [], 4: []}
    for pictures, _ in data:
        x = pictures
        for place, layer in enumerate(masked[:5]):  # type: ignore[index]  # a row of layers
            if place not in sums:
                with torch.no_grad():
                    x = layer(x)
                continue
            values = x.numpy().swapaxes(0, 1).reshape(x.shape[1], -1)
            mean = np.array([sum(row) / len(row) for row in values])
            squares = ((values - mean[:, None]) ** 2).sum(1)
            sums[place].append((mean, squares / (values.shape[1] - 1)))
            scale = layer.weight.detach().numpy() / np.sqrt(squares / values.shape[1] + eps)
            shift = layer.bias.detach().numpy() - mean * scale
            x = torch.from_numpy(x.numpy() * scale[:, None, None] + shift[:, None, None])
    worst = 0.0
    for place, found in sums.items():
        norm = student.get_submodule(str(place))
        for one, batches in ((norm.running_mean, 0), (norm.running_var, 1)):
            assert isinstance(one, torch.Tensor)
            worst = max(worst, o.worst(one, np.mean([pair[batches] for pair in found], 0)))
    return worst
