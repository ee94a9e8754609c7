"""All paths from inputs to outputs, one by one."""

from collections.abc import Mapping
from itertools import pairwise, product

import torch
from torch import Tensor, nn

from benchmarks.criteria.oracles._gap import gap
from secateur.core.rng import generator
from secateur.criteria import SynFlow
from secateur.evidence import collect
from secateur.granularity import Weight
from secateur.graph.trace import trace
from secateur.planning import score

WIDTHS = (3, 5, 4, 2)


def network() -> nn.Sequential:
    """Linear layers without bias, ReLU between them, weights of both signs."""
    layers = []
    for number, (i, o) in enumerate(pairwise(WIDTHS)):
        layers += [nn.Linear(i, o, bias=False), nn.ReLU()]
        with torch.no_grad():
            layers[-2].weight.copy_(torch.randn(o, i, generator=generator(number)))
    return nn.Sequential(*layers[:-1]).double()


def flows(model: nn.Sequential) -> list[list[list[float]]]:
    """For every weight the sum, over all paths that run through it, of the product of |w| along the path."""
    weights = [layer.weight.abs().tolist() for layer in model if isinstance(layer, nn.Linear)]
    found = [[[0.0] * len(w[0]) for _ in w] for w in weights]
    for path in product(*(range(width) for width in WIDTHS)):
        value = 1.0
        for number, weight in enumerate(weights):
            value *= weight[path[number + 1]][path[number]]
        for number in range(len(weights)):
            found[number][path[number + 1]][path[number]] += value
    return found


def scores(model: nn.Sequential) -> Mapping[str, Tensor]:
    example = torch.zeros(1, WIDTHS[0], dtype=torch.float64)
    graph = trace(model, example)
    evidence = collect(model, None, SynFlow.needs, graph=graph)
    return score(graph, SynFlow(), evidence, granularity=Weight()).values


def error() -> float:
    model = network()
    found = scores(model).values()
    return max(
        gap(values.tolist(), [v for row in rows for v in row]) for values, rows in zip(found, flows(model), strict=True)
    )
