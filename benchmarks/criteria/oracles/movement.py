"""Softmax regression with its gradient written out by hand, step by step."""

from math import exp

import torch
from torch import Tensor, nn

from benchmarks.criteria.oracles._gap import gap
from secateur.core.rng import generator
from secateur.criteria import Movement
from secateur.evidence import collect
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import score

LEARNING_RATE = 0.001


def batches() -> list[tuple[Tensor, Tensor]]:
    rng = generator(0, "movement")
    return [
        (torch.randn(4, 3, generator=rng, dtype=torch.float64), torch.randint(2, (4,), generator=rng)) for _ in range(5)
    ]


def model() -> nn.Sequential:
    layer = nn.Linear(3, 2, bias=False).double()
    with torch.no_grad():
        layer.weight.copy_(torch.randn(2, 3, generator=generator(1)))
    return nn.Sequential(layer)


def wanted(weight: list[list[float]]) -> list[float]:
    """- sum of w g along the steps, from lists of numbers."""
    w, sums = [list(row) for row in weight], [[0.0] * 3 for _ in range(2)]
    for x, y in batches():
        g = [[0.0] * 3 for _ in range(2)]
        for row, label in zip(x.tolist(), y.tolist(), strict=True):
            powers = [exp(sum(a * b for a, b in zip(line, row, strict=True))) for line in w]
            for c in range(2):
                slope = powers[c] / sum(powers) - (c == label)
                for i in range(3):
                    g[c][i] += slope * row[i] / len(x)
        for c in range(2):
            for i in range(3):
                sums[c][i] -= w[c][i] * g[c][i]
                w[c][i] -= LEARNING_RATE * g[c][i]
    return [v for row in sums for v in row]


def error() -> float:
    net = model()
    graph = trace(net, torch.zeros(1, 3, dtype=torch.float64))
    evidence = collect(net, batches(), Movement.needs, graph=graph)
    found = score(graph, Movement(), evidence, granularity=Weight()).values["0.weight"]
    return gap(found.tolist(), wanted(net[0].weight.tolist()))
