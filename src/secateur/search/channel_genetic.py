"""A genetic algorithm over which channels stay, with a fitness that runs no network."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper
from secateur.core.plan import PruningPlan
from secateur.core.rng import generator
from secateur.criteria.base import contributions
from secateur.evidence import InputGram, Weight


@dataclass(frozen=True, kw_only=True)
class ChannelGenetic:
    """A genetic algorithm over the channels of each group, settings of `channel_genetic(plan, evidence)`.

    Paper:   Hu et al., *A Novel Channel Pruning Method for Deep Neural Network Compression*, 2018. arXiv:1805.11394
    Formula: chromosome m in {0, 1}^units with as many ones as the plan keeps; loss in two steps: of the Taylor series
             of the loss only the quadratic term stays, and of that only what lies within a layer,
             E(m) = (1 - m)^T G (1 - m), G_uv = E[z_u . z_v], z_u what channel u adds to the next layer's outputs;
             roulette wheel with p_i in proportion to max E - E_i, crossover that keeps what both parents keep, mutation
             that swaps channels; the best chromosome survives as it is
    Cost:    population * generations products with G for each group; memory of `InputGram`. No network runs
    Differs: all groups are searched with the inputs of the dense network, where the paper goes from layer to layer by
             sensitivity and trains with distillation in between; the first chromosome is what the plan keeps, so that
             the result never has a larger E

    Attributes:
        population: chromosomes of one generation.
        generations: how many.
        mutation: the probability with which each channel that stays is swapped for one that goes.
    """

    population: int = 40
    generations: int = 60
    mutation: float = 0.05
    paper: ClassVar[Paper | None] = Paper("hu2018")
    needs: ClassVar[tuple[type[Collector], ...]] = (Weight, InputGram)

    def __post_init__(self) -> None:
        if self.population < 2 or self.generations < 1 or not 0 <= self.mutation <= 1:
            raise IncompatibleError(
                "population must be 2 or more, generations 1 or more and mutation in [0, 1], got "
                f"population={self.population!r}, generations={self.generations!r}, mutation={self.mutation!r}."
            )


def channel_genetic(
    start: PruningPlan, evidence: Evidence, *, settings: ChannelGenetic | None = None, seed: int = 0
) -> PruningPlan:
    """Search for channels that can go together, as many of each group as `start` takes.

    Args:
        start: a plan of channels; groups that keep everything stay as they are.
        evidence: must hold what `ChannelGenetic.needs` names.
        settings: how large and how long.
        seed: for everything random.

    Returns:
        The plan with the chromosomes of least loss; never of larger loss than `start`.

    Raises:
        IncompatibleError: the plan is of other units than channels.
        MissingEvidenceError: evidence lacks a quantity.
    """
    how = settings or ChannelGenetic()
    if not start.channels:
        raise IncompatibleError(
            f"channel_genetic chooses channels, and this is a plan of {start.granularity!r}. Plan with Channel()."
        )
    kept = dict(start.kept)
    for name, keep in start.kept.items():
        if not bool(keep.all()):
            moments = contributions(start.graph.groups[name], evidence)
            kept[name] = evolved(moments, keep, how, generator(seed, "channel_genetic", name))
    told = f"{start.provenance.allocation}, then {how!r}"
    return replace(start, kept=kept, provenance=replace(start.provenance, allocation=told, seed=seed))


def evolved(moments: Tensor, first: Tensor, how: ChannelGenetic, rng: torch.Generator) -> Tensor:
    """The best chromosome, boolean `(units,)` with as many ones as `first`.

    Args:
        moments: `(units, units)`, what channels add to the outputs, as second moments.
        first: a chromosome of the first generation.
        how: how large and how long.
        rng: for everything random.
    """
    count = int(first.sum())
    lots = torch.rand(how.population - 1, len(first), generator=rng, dtype=torch.float64)
    many = torch.cat([first[None], _first(lots, count)])
    for number in range(how.generations):
        losses = loss(moments, many)
        best = many[losses.argmin()]
        if number + 1 == how.generations:
            break
        wheel = (losses.max() - losses) + 1e-12 * losses.abs().max().clamp_min(1e-300)
        drawn = torch.multinomial(wheel / wheel.sum(), 2 * (how.population - 1), replacement=True, generator=rng)
        mothers, fathers = many[drawn[::2]], many[drawn[1::2]]
        # What both keep comes first, then what one of them keeps, by lot; a mutation moves a channel to the end.
        order = mothers.double() + fathers.double() + torch.rand(mothers.shape, generator=rng, dtype=torch.float64)
        children = _first(order, count)
        swaps = torch.rand(children.shape, generator=rng) < how.mutation
        lots = torch.rand(children.shape, generator=rng, dtype=torch.float64)
        many = torch.cat([best[None], _first((children & ~swaps) * 2.0 + lots, count)])
    return best


def loss(moments: Tensor, many: Tensor) -> Tensor:
    """The loss of each chromosome, `(n, units)` to `(n,)`."""
    gone = (~many).to(moments.dtype)
    return ((gone @ moments) * gone).sum(1)


def _first(order: Tensor, count: int) -> Tensor:
    """In each row the `count` entries that are highest."""
    keep = torch.zeros(order.shape, dtype=torch.bool)
    return keep.scatter_(1, order.topk(count, dim=1).indices, True)
