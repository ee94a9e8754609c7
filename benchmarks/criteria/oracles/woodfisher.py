"""WoodFisher: gradients of examples one by one, blocks of the Fisher matrix written out and inverted."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import WoodFisher

NAMES = ["0.weight", "2.weight", "5.weight"]


def error() -> float:
    """With blocks of more and of fewer entries than there are examples."""
    model, data = o.convolutions(), o.batches()
    worst = 0.0
    for block in (5, 40):
        found = o.saliencies(WoodFisher(block=block, damping=1e-3), model, data, NAMES)
        for name in NAMES:
            rows = gradients(model, data, [name])
            weight = model.get_parameter(name).detach().numpy().reshape(-1)
            diagonal = np.empty_like(weight)
            for start in range(0, len(weight), block):
                part = rows[:, start : start + block]
                fisher = 1e-3 * np.eye(part.shape[1]) + sum(np.outer(g, g) for g in part) / len(part)
                diagonal[start : start + block] = np.linalg.inv(fisher).diagonal()
            worst = max(worst, o.worst(found[name].reshape(-1), weight**2 / (2 * diagonal)))
    return worst


def gradients(model: o.nn.Module, data: list[o.Batch], names: list[str]) -> o.Array:
    """`(examples, entries)`, the gradient of each example's loss."""
    rows = []
    for x, y in data:
        for k in range(len(x)):
            loss = F.cross_entropy(model(x[k : k + 1]), y[k : k + 1])
            found = torch.autograd.grad(loss, [model.get_parameter(name) for name in names])
            rows.append(torch.cat([g.flatten() for g in found]).numpy())
    return np.stack(rows)
