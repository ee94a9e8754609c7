"""The plans that every model is cut by, through the public interface."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

import secateur
from secateur.allocation import Global
from secateur.core.errors import BudgetError
from secateur.core.groups import Group
from secateur.core.scores import Scope, Scores
from secateur.granularity import Channel, Head

Make = Callable[[secateur.ChannelGraph], secateur.PruningPlan]


def plans(seeds: int) -> dict[str, Make]:
    """Ways to make a plan of channels: uniform half, random widths for each seed, half of the MACs by one ranking."""
    found: dict[str, Make] = {"uniform": uniform}
    found |= {f"random {seed}": lambda graph, seed=seed: unequal(graph, seed) for seed in range(seeds)}
    found["global"] = ranked
    return found


def uniform(graph: secateur.ChannelGraph) -> secateur.PruningPlan:
    """Every group keeps half of its units, drawn at random."""
    rng = _rng(0)
    kept = {name: some(g.units, allowed(g, g.units / 2), rng) for name, g in graph.cuttable.items()}
    return secateur.PruningPlan(kept, Channel(), graph)


def unequal(graph: secateur.ChannelGraph, seed: int) -> secateur.PruningPlan:
    """Every group keeps a share of its own between 20 and 80 %, drawn at random."""
    rng = _rng(1 + seed)
    kept = {}
    for name, group in graph.cuttable.items():
        share = 0.2 + 0.6 * float(torch.rand(1, generator=rng))
        kept[name] = some(group.units, allowed(group, share * group.units), rng)
    return secateur.PruningPlan(kept, Channel(), graph)


def ranked(graph: secateur.ChannelGraph) -> secateur.PruningPlan:
    """Half of the MACs stay, by one ranking of random scores over the network; groups differ in how high they score."""
    rng = _rng(-1)
    values = {
        block.name: torch.rand(block.units, generator=rng, dtype=torch.float64) * (0.5 + torch.rand(1, generator=rng))
        for block in Channel().blocks(graph)
    }
    scores = Scores(values, Channel(), "random", Scope.GLOBAL)
    try:
        return secateur.plan(graph, scores, secateur.Budget(0.5, "macs"), Global())
    except BudgetError as error:
        if error.reachable is None:
            raise
        return secateur.plan(graph, scores, secateur.Budget(min(1.0, error.reachable * 1.0001), "macs"), Global())


def heads(graph: secateur.ChannelGraph) -> secateur.PruningPlan:
    """Half of all attention heads, of a graph that was traced for them."""
    granularity = Head()
    rng = _rng(0)
    kept = {}
    for block in granularity.blocks(graph):
        wanted = block.units / 2 if block.group is None else allowed(block.group, block.units / 2)
        kept[block.name] = some(block.units, max(1, int(wanted)), rng)
    return secateur.PruningPlan(kept, granularity, graph)


def least(graph: secateur.ChannelGraph) -> dict[str, int]:
    """The smallest width that each group allows."""
    return {name: allowed(group, 1) for name, group in graph.cuttable.items()}


def allowed(group: Group, wanted: float) -> int:
    """The width nearest to `wanted` from below that the group's multiple and minimum allow."""
    step = group.multiple
    lowest = -(-max(group.minimum, 1) // step) * step
    return min(group.units, max(lowest, int(wanted) // step * step))


def some(units: int, count: int, rng: torch.Generator) -> Tensor:
    """`count` of `units`, drawn at random, as a boolean vector."""
    keep = torch.zeros(units, dtype=torch.bool)
    keep[torch.randperm(units, generator=rng)[:count]] = True
    return keep


def _rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(7919 + seed)
