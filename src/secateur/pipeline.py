"""`compress`: the whole line, from a trained model to a verified, measured, smaller one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from secateur.apply.shrinking import shrink
from secateur.comparison import compare
from secateur.core.budget import Budget, TimeLimit, read_budget
from secateur.core.contracts import Batches, Quality
from secateur.core.errors import BudgetError, MissingEvidenceError
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.core.report import CompressionReport
from secateur.graph.trace import trace
from secateur.in_time import budget_in_time
from secateur.job import Job
from secateur.measure import remeasured
from secateur.methods import recipe as named_recipe
from secateur.planning.check import check
from secateur.run import Run
from secateur.training import Checkpoint


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed:
    """What `compress` returns.

    Attributes:
        model: the shrunk network, ready to ship.
        masked: the same function in the original shapes.
        plan: what was kept.
        report: what it cost before and after.
    """

    model: nn.Module
    masked: nn.Module
    plan: PruningPlan
    report: CompressionReport


def compress(
    model: nn.Module,
    recipe: str | Recipe,
    *,
    example_inputs: Any,
    budget: Budget | TimeLimit | str | None = None,
    data: Batches | None = None,
    quality: Quality | None = None,
    seed: int = 0,
    run: Run | None = None,
) -> Compressed:
    """Make `model` smaller by a recipe, prove that nothing else changed, and measure.

    Without data, a data-free recipe prunes once and trains nothing.

    Args:
        model: a trained network; it is left exactly as it was.
        recipe: a name from `secateur list recipes`, or a `Recipe`.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        budget: what may remain, `"0.5 macs"` or a `Budget`; the recipe's own by default. Or how long a forward pass on
            the example inputs may take, `"8 ms"` or a `TimeLimit`: before anything is trained, that is turned into a
            share of the MACs by measuring.
        data: `(inputs, target)` batches that can be walked through more than once (a list, a DataLoader).
        quality: `model -> figure(s)`, higher is better, measured before and after.
        seed: for everything random; the global random state is put back afterwards.
        run: loss, constraints, progress.

    Returns:
        The shrunk network, the masked one, the plan and the report.

    Raises:
        UnknownNameError: no such recipe.
        BudgetError: the budget is malformed, missing or out of reach.
        MissingEvidenceError: the recipe needs data and there is none.
        TraceError: the model does not run on the example inputs.
        UnsupportedError: nothing may be cut, or a time limit is asked of a recipe that prunes single weights.
        VerificationError: masked and shrunk networks would differ.
    """
    how = named_recipe(recipe) if isinstance(recipe, str) else recipe
    settings = run or Run()
    target = read_budget(budget) if isinstance(budget, str) else budget or how.budget
    _check(how, target, data)
    assert target is not None
    graph = trace(model, example_inputs, heads=how.granularity.heads, depth=how.granularity.modular)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        saved, seeded = _checkpoint(how, graph, target, settings, seed), _seeded(how, seed)
        share, time = budget_in_time(target, seeded, model, graph, example_inputs, settings.constraints, saved)
        job = Job(seeded, model, graph, share, data, settings, seed, saved)
        masked, decision = job.prune()
        small = shrink(masked, decision)
    report = compare(
        model,
        small,
        example_inputs,
        plan=decision,
        masked=masked,
        recipe=how,
        quality=quality,
        runtimes=settings.runtimes,
    )
    if time is not None:
        report = replace(report, time=remeasured(time, small, model, example_inputs))
    return Compressed(model=small, masked=masked, plan=decision, report=report)


def _check(how: Recipe, target: Budget | TimeLimit | None, data: Batches | None) -> None:
    check(how.criterion, how.granularity)
    if target is None:
        raise BudgetError("neither compress() nor the recipe names a budget. Pass budget='0.5 macs' or '8 ms'.")
    if data is None and not how.data_free:
        raise MissingEvidenceError(
            f"the recipe needs data ({how.criterion!r}, {how.regularizer!r}) and none was given. "
            "Pass data=, an iterable of (inputs, target) batches, or use a data-free recipe such as 'li2017'."
        )


def _seeded(how: Recipe, seed: int) -> Recipe:
    """The recipe with the run's seed in its criterion, if that has one."""
    if not hasattr(how.criterion, "seed"):
        return how
    return replace(how, criterion=replace(how.criterion, seed=seed))  # type: ignore[type-var]  # criteria are dataclasses


def _checkpoint(
    how: Recipe, graph: ChannelGraph, target: Budget | TimeLimit, settings: Run, seed: int
) -> Checkpoint | None:
    """The file to save in, which goes with everything that the result depends on but the data."""
    if settings.checkpoint is None:
        return None
    work = (
        f"{how!r}, {target!r}, {settings.constraints!r}, {settings.distill!r}, seed {seed}, network {graph.fingerprint}"
    )
    return Checkpoint(settings.checkpoint, work, resume=settings.resume)
