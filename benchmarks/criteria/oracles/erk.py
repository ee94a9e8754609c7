"""The published loop: layers that would be more than dense are set aside, and epsilon is solved for the others."""

from math import prod

import torch

from secateur.allocation import ERK
from secateur.core.budget import Budget
from secateur.core.scores import Scope, Scores
from secateur.granularity import Weight
from secateur.planning.limits import Choices
from secateur.testing import case as cases


def densities(shapes: dict[str, tuple[int, ...]], density: float, kernel: bool = True) -> dict[str, float]:
    """Share of each layer, so that `density` of all weights stay."""
    dense = set()
    while True:
        left, per_epsilon = density * sum(prod(s) for s in shapes.values()), 0.0
        raw = {}
        for name, shape in shapes.items():
            if name in dense:
                left -= prod(shape)
            else:
                dims = shape if kernel else shape[:2]
                raw[name] = sum(dims) / prod(dims)
                per_epsilon += raw[name] * prod(shape)
        epsilon = left / per_epsilon
        most = max(raw, key=lambda name: raw[name])
        if epsilon * raw[most] <= 1:
            return {name: 1.0 if name in dense else epsilon * raw[name] for name in shapes}
        dense |= {name for name in raw if raw[name] == raw[most]}


def error() -> float:
    """By how many weights a layer differs from its share, beyond the one that rounding to whole weights may move."""
    graph, worst = cases.normed(40, 30).graph, 0.0
    blocks = {b.name: b for b in Weight().blocks(graph)}
    shapes = {n: tuple(a.size(graph.full) for a in graph.tensors[n].axes) for n in blocks}
    scores = Scores({n: torch.zeros(b.units) for n, b in blocks.items()}, Weight(), "none", Scope.GLOBAL)
    for kernel in (True, False):
        for density in (0.05, 0.1, 0.3, 0.6, 0.9):
            limits = Choices(graph, Budget(density, "units"), blocks, {}, {n: b.units for n, b in blocks.items()})
            counts = ERK(kernel=kernel).counts(scores, limits)
            shares = densities(shapes, density, kernel)
            worst = max(worst, *(abs(counts[n] - shares[n] * b.units) for n, b in blocks.items()))
    return max(0.0, worst - 1)
