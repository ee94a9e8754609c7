"""Hutchinson: where the Hessian is diagonal every probe is exact, so finite differences of the loss must agree.

Elsewhere the estimate scatters; tests/evidence/test_hessian_diagonal.py looks at how much.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.criteria.oracles import _layers as o
from secateur.evidence import HessianDiagonal, collect
from secateur.graph.trace import trace

STEP = 1e-3


def error() -> float:
    """Every example lights one input, and every output counts for itself: no two weights share a term."""
    model = o.seeded_(nn.Sequential(nn.Linear(3, 2, bias=False)))
    x = torch.eye(3, dtype=torch.float64).repeat(2, 1) * torch.arange(1, 7, dtype=torch.float64).view(-1, 1)
    data = [(x[:4], None), (x[4:], None)]
    found = collect(model, data, [HessianDiagonal], graph=trace(model, x), loss=cosines)[HessianDiagonal]["0.weight"]
    weight = model.get_parameter("0.weight")
    wanted = torch.zeros_like(weight)
    with torch.no_grad():
        for place in range(6):
            row, column = divmod(place, 3)
            for batch, _ in data:
                wanted[row, column] += second_difference(model, weight, row, column, batch) * len(batch) / len(x)
    return o.worst(found, wanted.detach())


def cosines(y: Tensor, _: object) -> Tensor:
    return y.cos().sum() / len(y)


def second_difference(model: nn.Module, weight: Tensor, row: int, column: int, x: Tensor) -> float:
    """Fourth-order central difference."""
    values, old = [], float(weight[row, column])
    for k in (-2, -1, 0, 1, 2):
        weight[row, column] = old + k * STEP
        values.append(float(cosines(model(x), None)))
    weight[row, column] = old
    return (-values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]) / (12 * STEP**2)
