"""`compress`: the whole line, from a trained model to a verified, measured, smaller one."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import nn

from secateur.apply.masking import mask, unmask_
from secateur.apply.shrinking import shrink
from secateur.apply.verify import difference, outputs
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, Collector, Known, Loss, Progress, Quality
from secateur.core.errors import BudgetError, MissingEvidenceError
from secateur.core.evidence import Evidence
from secateur.core.example import Example
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.core.report import CompressionReport, Width
from secateur.evidence import collect, cross_entropy
from secateur.graph.trace import trace
from secateur.measure import environment, measure_both
from secateur.methods import recipe as named_recipe
from secateur.planning import Constraints, plan, score
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
        constraints: multiples, frozen blocks.
        calibration: most batches used for collecting evidence.
        runtimes: where latency is measured: "torch", "onnxruntime"; empty for none.
        progress: called as `(what, done, total)`.
    """

    loss: Loss = cross_entropy
    constraints: Constraints = Constraints()
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
    graph = trace(model, example_inputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        masked, decision = _prune(model, _seeded(how, seed), graph, target, data, settings, seed)
        small = shrink(masked, decision)
    report = describe(model, masked, small, decision, example_inputs, how, quality=quality, runtimes=settings.runtimes)
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
    return replace(how, criterion=replace(how.criterion, seed=seed)) if hasattr(how.criterion, "seed") else how  # type: ignore[type-var]


def _prune(
    model: nn.Module,
    how: Recipe,
    graph: ChannelGraph,
    budget: Budget,
    data: Batches | None,
    settings: Run,
    seed: int,
) -> tuple[nn.Module, PruningPlan]:
    dense = copy.deepcopy(model)
    if how.regularizer is not None and how.sparsify is not None and data is not None:
        with how.regularizer.attach(dense, graph):
            charge = partial(how.regularizer.penalty, graph=graph)
            train_(dense, data, how.sparsify, loss=settings.loss, penalty=charge, progress=settings.progress, what="sparsify")
    rounds = how.schedule.rounds if data is not None else 1
    decision: PruningPlan | None = settings.constraints.within
    masked = dense
    for number in range(1, rounds + 1):
        share = budget.keep if number == rounds else how.schedule.keep(number / rounds, budget.keep)
        evidence = _evidence(dense, how, graph, data, settings)
        scores = score(graph, how.criterion, evidence, granularity=how.granularity)
        decision = plan(
            graph,
            scores,
            Budget(share, budget.of),
            how.allocation,
            constraints=replace(settings.constraints, within=decision),
            seed=seed,
        )
        masked = mask(dense, decision)
        if data is not None:
            for repair in how.repair:
                repair.repair_(masked, dense, decision, Known(evidence, data))
            if how.finetune is not None:
                what = "fine-tune" if rounds == 1 else f"fine-tune {number}/{rounds}"
                train_(masked, data, how.finetune, loss=settings.loss, progress=settings.progress, what=what)
        dense = unmask_(copy.deepcopy(masked))
    assert decision is not None
    return masked, decision


def _evidence(dense: nn.Module, how: Recipe, graph: ChannelGraph, data: Batches | None, settings: Run) -> Evidence:
    needs: Iterable[type[Collector]] = how.criterion.needs
    if data is not None:
        needs = (*needs, *(need for repair in how.repair for need in repair.needs))
    return collect(
        dense, data, needs, graph=graph, loss=settings.loss, limit=settings.calibration, progress=settings.progress
    )


def describe(
    model: nn.Module,
    masked: nn.Module,
    small: nn.Module,
    decision: PruningPlan,
    example_inputs: Any,
    how: Recipe,
    *,
    quality: Quality | None = None,
    runtimes: tuple[str, ...] = ("torch",),
) -> CompressionReport:
    """Measure the dense and the shrunk network side by side and write everything down.

    Args:
        model: the dense network.
        masked: the network in original shapes, for the observed equivalence.
        small: the shrunk network.
        decision: the plan that leads from one to the other.
        example_inputs: what MACs and latency are measured on.
        how: the recipe.
        quality: figures of merit, higher is better.
        runtimes: where latency is measured.
    """
    example = Example.of(example_inputs)
    before, after = measure_both(model, small, example, quality=quality, runtimes=runtimes)
    graph = decision.graph
    widths = graph.widths(decision.kept) if decision.is_structured else graph.full
    return CompressionReport(
        before=before,
        after=after,
        widths=tuple(Width(g.name, g.units, widths[g.name], g.pinned) for g in graph.groups.values()),
        budget=decision.provenance.budget,
        reached=decision.provenance.reached,
        equivalence=difference(outputs(masked, example), outputs(small, example)),
        plan_digest=decision.digest(),
        recipe=repr(how),
        papers=tuple(how.cite()),
        unknown_ops=graph.unknown,
        environment=environment(),
    )
