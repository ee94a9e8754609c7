"""Masked = shrunk, measured: largest relative difference over networks x seeds, in float32 and float64.

Every batch-norm statistic, scale and bias is random; every group keeps a random share of its units between 20 and 80 %.
"""

from __future__ import annotations

import copy
import time

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs, strengthen_, verify
from secateur.bench.zoo import ZOO
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.granularity import Channel
from secateur.graph.trace import trace

SEEDS = 3


def random_plan(graph: ChannelGraph, seed: int) -> PruningPlan:
    """Every group keeps a random 20 to 80 % of its units."""
    kept = {}
    for name, group in graph.cuttable.items():
        rng = generator(seed, name)
        share = 0.2 + 0.6 * float(torch.rand(1, generator=rng))
        keep = torch.zeros(group.units, dtype=torch.bool)
        keep[torch.randperm(group.units, generator=rng)[: max(1, round(share * group.units))]] = True
        kept[name] = keep
    return PruningPlan(kept, Channel(), graph)


def measure(model: nn.Module, shape: tuple[int, ...]) -> tuple[float, float, float, float, float]:
    """Largest float32 and float64 difference over the seeds; seconds to trace, to shrink, to verify."""
    example = torch.randn(2, *shape, generator=generator(0, "example"))
    start = time.perf_counter()
    graph = trace(model, example)
    traced = time.perf_counter() - start
    precise = copy.deepcopy(model).double()
    single = double = shrinking = verifying = 0.0
    for seed in range(SEEDS):
        plan = random_plan(graph, seed)
        strong = strengthen_(copy.deepcopy(model)).float()
        start = time.perf_counter()
        small = shrink(strong, plan, verify=False)
        shrinking += (time.perf_counter() - start) / SEEDS
        single = max(
            single, difference(outputs(mask(strong, plan), Example.of(example)), outputs(small, Example.of(example)))
        )
        start = time.perf_counter()
        double = max(double, verify(precise, plan))
        verifying += (time.perf_counter() - start) / SEEDS
    return single, double, traced, shrinking, verifying


def main() -> None:
    table = Table(title=f"masked = shrunk, largest relative difference over {SEEDS} random plans")
    for heading in ("network", "float32", "float64", "trace s", "shrink s", "verify s"):
        table.add_column(heading, justify="left" if heading == "network" else "right")
    for name, entry in ZOO.items():
        single, double, traced, shrinking, verifying = measure(entry.make(), entry.shape)
        table.add_row(name, f"{single:.1e}", f"{double:.1e}", f"{traced:.2f}", f"{shrinking:.2f}", f"{verifying:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
