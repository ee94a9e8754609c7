"""OBD: at the minimum of a linear regression the loss rises by exactly h w^2 / 2 when a weight is set to zero."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.criteria.oracles import _layers as o
from secateur.criteria import OBD
from secateur.evidence import collect
from secateur.graph.trace import trace


def error() -> float:
    return max(against_loss(), against_hessian(), against_squares())


def against_loss() -> float:
    """Remove each weight of a fitted regression, and measure."""
    x, y = o.numbers(30, 4), o.numbers(30, 2, seed=1)
    model = nn.Sequential(nn.Linear(4, 2, bias=False)).double()
    with torch.no_grad():
        model[0].weight.copy_(torch.linalg.lstsq(x, y).solution.T)  # type: ignore[union-attr]
        before = float(F.mse_loss(model(x), y))
        rises = np.zeros((2, 4))
        for place in range(8):
            row, column = divmod(place, 4)
            old = float(model[0].weight[row, column])  # type: ignore[index]
            model[0].weight[row, column] = 0  # type: ignore[index, operator]
            rises[row, column] = float(F.mse_loss(model(x), y)) - before
            model[0].weight[row, column] = old  # type: ignore[index, operator]
    graph = trace(model, x)
    evidence = collect(model, [(x[:10], y[:10]), (x[10:], y[10:])], OBD().needs, graph=graph, loss=F.mse_loss)
    return o.worst(OBD().saliency("0.weight", evidence), rises)


def against_hessian() -> float:
    """Of a linear classifier the Hessian of the cross-entropy is the Gauss-Newton matrix, and autograd knows it."""
    data = [(o.numbers(8, 4, seed=s), y) for s, (_, y) in enumerate(o.batches())]
    model = o.seeded_(nn.Sequential(nn.Linear(4, 3)))
    x, y = torch.cat([x for x, _ in data]), torch.cat([y for _, y in data])
    bias = model.get_parameter("0.bias").detach()
    weight = model.get_parameter("0.weight").detach()
    hessian = torch.autograd.functional.hessian(lambda w: F.cross_entropy(x @ w.T + bias, y), weight)
    diagonal = hessian.reshape(12, 12).diagonal().view(3, 4)
    return o.worst(o.saliencies(OBD(), model, data, ["0.weight"])["0.weight"], weight**2 * diagonal / 2)


def against_squares() -> float:
    """With hessian="fisher": squares of gradients that autograd finds one by one."""
    model, data = o.convolutions(), o.batches()
    worst = 0.0
    for name, found in o.saliencies(OBD(hessian="fisher"), model, data, ["0.weight", "2.weight"]).items():
        weight = model.get_parameter(name)
        total = torch.zeros_like(weight)
        for x, y in data:
            for k in range(len(x)):
                (g,) = torch.autograd.grad(F.cross_entropy(model(x[k : k + 1]), y[k : k + 1]), [weight])
                total += g**2 / (len(x) * len(data))
        worst = max(worst, o.worst(found, (weight**2 * total / 2).detach()))
    return worst
