"""Three convolutions cut one after the other by hand, kernels of missing maps left out of every sum."""

from itertools import pairwise

import torch
from torch import nn

from secateur.core.budget import Budget
from secateur.core.rng import generator
from secateur.criteria import LiGreedy
from secateur.evidence import collect
from secateur.granularity import Channel
from secateur.graph.trace import trace
from secateur.planning import decide

WIDTHS = (2, 8, 6, 10, 3)


def network(seed: int) -> nn.Sequential:
    """Convolutions with weights of unlike size, so that leaving maps out changes which filters are small."""
    layers = []
    for number, (i, o) in enumerate(pairwise(WIDTHS)):
        layers += [nn.Conv2d(i, o, 3, padding=1), nn.ReLU()]
        with torch.no_grad():
            rng = generator(seed, str(number))
            sizes = torch.rand(o, i, 1, 1, generator=rng) ** 4
            layers[-2].weight.copy_(torch.randn(o, i, 3, 3, generator=rng) * sizes)
    return nn.Sequential(*layers[:-1]).double()


def kept_by_hand(model: nn.Sequential, kept: list[int], *, greedy: bool = True) -> list[list[int]]:
    """Which filters stay, given how many of each layer."""
    maps, found = list(range(WIDTHS[0])), []
    for layer, count in zip((model[0], model[2], model[4]), kept, strict=True):
        read = maps if greedy else range(layer.in_channels)
        norms = [
            sum(abs(v) for i in read for row in layer.weight[j, i].tolist() for v in row)
            for j in range(layer.out_channels)
        ]
        maps = sorted(sorted(range(len(norms)), key=lambda j: -norms[j])[:count])
        found.append(maps)
    return found


def decided(model: nn.Sequential) -> list[list[int]]:
    example = torch.zeros(1, WIDTHS[0], 5, 5, dtype=torch.float64)
    graph = trace(model, example)
    evidence = collect(model, None, LiGreedy.needs, graph=graph)
    plan = decide(graph, LiGreedy(), evidence, Budget("0.5 units"), granularity=Channel())
    return [plan.kept[name].nonzero().flatten().tolist() for name in ("0", "2", "4")]


def error() -> float:
    """Filters chosen otherwise than by hand, of all filters of ten networks; a whole number, so 0 or a failure."""
    wrong, changed = 0, 0
    for seed in range(10):
        model = network(seed)
        found = decided(model)
        by_hand = kept_by_hand(model, [len(f) for f in found])
        wrong += sum(len(set(f) ^ set(w)) for f, w in zip(found, by_hand, strict=True))
        changed += by_hand != kept_by_hand(model, [len(f) for f in found], greedy=False)
    return float(wrong) if changed else 1e300  # a case in which greed makes no difference would show nothing
