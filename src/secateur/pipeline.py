"""`compress`: the whole line, from a trained model to a verified, measured, smaller one."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from secateur.apply.masking import mask, unmask_
from secateur.apply.shrinking import shrink
from secateur.comparison import compare
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, Collector, Known, Loss, Progress, Quality
from secateur.core.copying import copied
from secateur.core.errors import BudgetError, MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.core.report import CompressionReport
from secateur.criteria import Random
from secateur.evidence import collect, cross_entropy
from secateur.graph.trace import trace
from secateur.methods import recipe as named_recipe
from secateur.planning import Constraints, decide, plan, score
from secateur.planning.check import check
from secateur.training import train_


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """How a recipe is carried out; none of it changes what the recipe means.

    Attributes:
        loss: `(output, target) -> scalar`.
        train: your own training of the masked network, in place of the recipe's fine-tuning; any loop will do.
        constraints: multiples, frozen blocks.
        calibration: most batches used for collecting evidence.
        runtimes: where latency is measured: "torch", "onnxruntime"; empty for none.
        progress: called as `(what, done, total)`.
    """

    loss: Loss = cross_entropy
    train: Callable[[nn.Module], object] | None = None
    constraints: Constraints = field(default_factory=Constraints)
    calibration: int = 32
    runtimes: tuple[str, ...] = ("torch",)
    progress: Progress | None = None


def compress(
    model: nn.Module,
    recipe: str | Recipe,
    *,
    example_inputs: Any,
    budget: Budget | str | None = None,
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
        budget: what may remain, `"0.5 macs"` or a `Budget`; the recipe's own by default.
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
        UnsupportedError: nothing may be cut.
        VerificationError: masked and shrunk networks would differ.
    """
    how = named_recipe(recipe) if isinstance(recipe, str) else recipe
    settings = run or Run()
    target = Budget(budget) if isinstance(budget, str) else budget or how.budget
    _check(how, target, data)
    assert target is not None
    graph = trace(model, example_inputs, heads=how.granularity.heads, depth=how.granularity.modular)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        masked, decision = _prune(model, _seeded(how, seed), graph, target, data, settings, seed)
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
    return Compressed(model=small, masked=masked, plan=decision, report=report)


def _check(how: Recipe, target: Budget | None, data: Batches | None) -> None:
    check(how.criterion, how.granularity)
    if target is None:
        raise BudgetError("neither compress() nor the recipe names a budget. Pass budget='0.5 macs'.")
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


def _prune(
    model: nn.Module,
    how: Recipe,
    graph: ChannelGraph,
    budget: Budget,
    data: Batches | None,
    settings: Run,
    seed: int,
) -> tuple[nn.Module, PruningPlan]:
    trains = data is not None or settings.train is not None
    if trains:
        _rehearse(model, how, graph, budget, settings)
    dense = _sparsified(model, how, graph, data, settings)
    rounds = how.schedule.rounds if trains or not how.schedule.trains else 1
    decision = settings.constraints.within
    masked = dense
    for number in range(1, rounds + 1):
        share = budget.keep if number == rounds else how.schedule.keep(number / rounds, budget.keep)
        evidence = _evidence(dense, how, graph, data, settings)
        rules = replace(settings.constraints, within=decision)
        decision = decide(
            graph,
            how.criterion,
            evidence,
            Budget(share, budget.of),
            how.allocation,
            granularity=how.granularity,
            constraints=rules,
            seed=seed,
        )
        masked = mask(dense, decision)
        if data is not None:
            for repair in how.repair:
                repair.repair_(masked, dense, decision, Known(evidence, data))
        if how.schedule.trains or number == rounds:
            once = rounds == 1 or not how.schedule.trains
            _train_(masked, how, data, settings, "fine-tune" if once else f"fine-tune {number}/{rounds}")
        dense = unmask_(copied(masked))
    assert decision is not None
    return masked, decision


def _rehearse(model: nn.Module, how: Recipe, graph: ChannelGraph, budget: Budget, settings: Run) -> None:
    """Plan once with what is known without data, so that what cannot work fails now and not after hours of training."""
    criterion = how.criterion if how.criterion.traits.data_free else Random()
    evidence = collect(model, None, criterion.needs, graph=graph)
    scores = score(graph, criterion, evidence, granularity=how.granularity)
    plan(graph, scores, budget, how.allocation, constraints=settings.constraints)


def _sparsified(model: nn.Module, how: Recipe, graph: ChannelGraph, data: Batches | None, settings: Run) -> nn.Module:
    """A copy of the model, trained under the recipe's regulariser if it has one."""
    dense = copied(model)
    if how.regularizer is not None and how.sparsify is not None and data is not None:
        with how.regularizer.attach(dense, graph):
            charge = partial(how.regularizer.penalty, graph=graph)
            train_(
                dense,
                data,
                how.sparsify,
                loss=settings.loss,
                penalty=charge,
                progress=settings.progress,
                what="sparsify",
            )
    return dense


def _train_(masked: nn.Module, how: Recipe, data: Batches | None, settings: Run, what: str) -> None:
    if settings.train is not None:
        settings.train(masked)
    elif data is not None and how.finetune is not None:
        train_(masked, data, how.finetune, loss=settings.loss, progress=settings.progress, what=what)


def _evidence(dense: nn.Module, how: Recipe, graph: ChannelGraph, data: Batches | None, settings: Run) -> Evidence:
    needs: Iterable[type[Collector]] = how.criterion.needs
    if data is not None:
        needs = (*needs, *(need for repair in how.repair for need in repair.needs))
    return collect(
        dense, data, needs, graph=graph, loss=settings.loss, limit=settings.calibration, progress=settings.progress
    )
