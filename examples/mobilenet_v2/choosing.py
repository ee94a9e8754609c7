"""Which channels go: scored without labels, at equal cost, and only inside the blocks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import photos
import torch
from selecting import reselect
from torch import Tensor, nn

import secateur
from secateur import Budget, ChannelGraph, Constraints, PruningPlan
from secateur.allocation import Global, Uniform
from secateur.core.contracts import Progress
from secateur.core.scores import Scores
from secateur.criteria import FPGM, Magnitude, Random, Taylor
from secateur.granularity import Channel

Choice = Literal["greedy", "taylor", "magnitude", "fpgm", "random"]

# The narrow streams between blocks serve all blocks of a stage, and the 1,280 features at the end serve the classifier,
# whose cost is in parameters and not in MACs: only the hidden channels of blocks are cut.
HIDDEN = ("features.*.conv.0.0",)


def choose(
    dense: nn.Module,
    graph: ChannelGraph,
    chosen: Sequence[photos.Photo],
    crops: Tensor,
    criterion: Choice,
    *,
    keep: float,
    multiple: int,
    seed: int,
    batches: int = 20,
    progress: Progress | None = None,
) -> PruningPlan:
    """Plans which hidden channels stay.

    Args:
        dense: The network.
        graph: Its channel graph.
        chosen: Photos that the gradients are taken on, for Taylor and greedy.
        crops: Crops that least squares are formed on, for greedy.
        criterion: Taylor ranks the channels of all blocks together, by score per MAC. Greedy takes Taylor's widths, and
            within a block the channels that serve its output best. The others keep the same share of every block.
        keep: Share of the MACs that stays.
        multiple: Widths are multiples of this.
        seed: For crops and for random scores.
        batches: Batches of 16 crops, for Taylor.
        progress: Called after each batch.

    Returns:
        The plan.
    """
    rules = Constraints(multiple=multiple, only=HIDDEN)
    budget = Budget(keep, "macs")
    if criterion in ("greedy", "taylor"):
        data = signed_batches(chosen, batches, seed)
        found = secateur.collect(dense, data, Taylor.needs, graph=graph, loss=signed_sum, progress=progress)
        scores = secateur.score(graph, Taylor(), found, granularity=Channel(over="all"))
        plan = secateur.plan(graph, per_mac(scores, graph), budget, Global(), constraints=rules, seed=seed)
        return reselect(plan, dense, crops) if criterion == "greedy" else plan
    how = {"magnitude": Magnitude(), "fpgm": FPGM(), "random": Random(seed=seed)}[criterion]
    scores = secateur.score(graph, how, secateur.collect(dense, None, how.needs, graph=graph))
    return secateur.plan(graph, scores, budget, Uniform(), constraints=rules, seed=seed)


def signed_batches(chosen: Sequence[photos.Photo], number: int, seed: int) -> list[tuple[Tensor, Tensor]]:
    """Batches of 16 random crops, with a random sign for each logit as target; for `signed_sum`."""
    generator = torch.Generator().manual_seed(seed)
    crops = [photos.random_crops(chosen, 16, generator) for _ in range(number)]
    return [(x, torch.randint(0, 2, (len(x), 1000), generator=generator) * 2.0 - 1) for x in crops]


def signed_sum(logits: Tensor, signs: Tensor) -> Tensor:
    """A loss without labels whose squared gradient is, on average, the squared change of all logits.

    The loss must not be a distance to the dense network's own answers: its gradient there is exactly zero. With random
    signs s, E[(d/dw sum_k s_k z_k)^2] = sum_k (dz_k/dw)^2, so Taylor scores say how much all logits would move.
    """
    return (logits * signs).sum() / len(logits)


def per_mac(scores: Scores, graph: ChannelGraph) -> Scores:
    """Scores divided by what a channel costs, so that a global ranking under a budget of MACs buys most for it."""
    whole = secateur.cost(graph).macs

    def price(name: str, units: int) -> float:
        return (whole - secateur.cost(graph, {name: units // 2}).macs) / (units - units // 2)

    return replace(scores, values={n: v / price(n, v.numel()) for n, v in scores.values.items()})
