"""Fisher of channels: factors put into the network by hand, differentiated one example at a time."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import Fisher


def error() -> float:
    model, data = o.convolutions(), o.batches()
    found = o.unit_scores(Fisher(), model, data)
    wanted = {name: torch.zeros(len(values), dtype=torch.float64) for name, values in found.items()}
    for x, y in data:
        for k in range(len(x)):
            masks = [torch.ones(4, dtype=torch.float64), torch.ones(6, dtype=torch.float64)]
            masks = [m.requires_grad_() for m in masks]
            found_here = torch.autograd.grad(
                F.cross_entropy(with_factors(model, x[k : k + 1], masks), y[k : k + 1]), masks
            )
            for name, g in zip(("0", "2"), found_here, strict=True):
                # a grouped layer loses the same position in both of its groups, so one factor goes to two channels
                units = g.view(-1, len(wanted[name])).sum(0) if len(g) != len(wanted[name]) else g
                wanted[name] += units**2 / (2 * len(x) * len(data))
    return max(o.worst(found[name], wanted[name]) for name in found)


def with_factors(model: o.nn.Module, x: Tensor, masks: list[Tensor]) -> Tensor:
    layers = list(model.children())
    h = layers[1](layers[0](x)) * masks[0].view(1, -1, 1, 1)
    h = layers[3](layers[2](h)) * masks[1].view(1, -1, 1, 1)
    out: Tensor = layers[5](layers[4](h))
    return out
