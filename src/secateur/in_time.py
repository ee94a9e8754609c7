"""A time limit for pruning, as a share of the multiply-accumulates, before anything is trained."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch
from torch import nn

from secateur.apply.shrinking import shrink
from secateur.core.budget import Budget, TimeLimit
from secateur.core.errors import UnsupportedError
from secateur.core.groups import ChannelGraph
from secateur.core.recipe import Recipe
from secateur.core.report import InTime
from secateur.core.scores import Scope
from secateur.criteria import Magnitude
from secateur.evidence import collect
from secateur.measure import within
from secateur.planning import Constraints, plan, score
from secateur.training import Checkpoint


def budget_in_time(
    target: Budget | TimeLimit,
    how: Recipe,
    model: nn.Module,
    graph: ChannelGraph,
    example_inputs: Any,
    constraints: Constraints,
    saved: Checkpoint | None = None,
) -> tuple[Budget, InTime | None]:
    """What may remain, where that may be written as a time; a run that goes on keeps the share that it began with."""
    if isinstance(target, Budget):
        return target, None
    notes = {} if saved is None else saved.notes
    if "time" in notes:
        found = InTime(**notes["time"])
    else:
        with torch.random.fork_rng(devices=[]):  # or what follows would depend on whether this was done now or before
            found = share_in_time(target, how, model, graph, example_inputs, constraints)
        notes["time"] = asdict(found)
    return Budget(found.keep, "macs"), found


def share_in_time(
    limit: TimeLimit,
    how: Recipe,
    model: nn.Module,
    graph: ChannelGraph,
    example_inputs: Any,
    constraints: Constraints,
) -> InTime:
    """The share of the multiply-accumulates at which the recipe's cut keeps to a time limit.

    Widths decide the time, and weights do not. So the dense network is cut by the recipe's own criterion if that needs
    neither data nor training, by magnitude relative to the mean of each block otherwise, and nothing is trained.

    Raises:
        BudgetError: the limit cannot be met.
        UnsupportedError: the recipe prunes single weights, which makes no runtime faster.
    """
    if not how.granularity.structured:
        raise UnsupportedError(
            f"{how.granularity!r} leaves every tensor its shape, and zeros are no faster to multiply by in "
            f"{limit.runtime}: no budget of weights meets {limit}. Prune channels, heads or layers, or write the "
            "budget in macs, params, weights or units."
        )
    criterion = how.criterion if how.data_free else Magnitude()
    scores = score(graph, criterion, collect(model, None, criterion.needs, graph=graph), granularity=how.granularity)
    if not how.data_free:  # magnitudes say little across blocks, and shares of their mean are what can be compared
        values = {name: value / value.mean().clamp(min=1e-30) for name, value in scores.values.items()}
        scores = replace(scores, values=values, comparable=Scope.GLOBAL)

    def cut(keep: float) -> nn.Module:
        decision = plan(graph, scores, Budget(keep, "macs"), how.allocation, constraints=constraints)
        return shrink(model, decision, verify=False)  # it is timed and thrown away

    return within(limit, cut, model, example_inputs)
