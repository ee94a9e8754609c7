"""`compare`: two networks side by side, as a report."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn

from secateur.apply.verify import difference, outputs
from secateur.core.contracts import Quality
from secateur.core.example import Example
from secateur.core.plan import PruningPlan
from secateur.core.recipe import Recipe
from secateur.core.report import CompressionReport, Width
from secateur.core.rng import generator
from secateur.measure import environment, measure_all


def compare(
    before: nn.Module,
    after: nn.Module,
    example_inputs: Any,
    *,
    plan: PruningPlan | None = None,
    masked: nn.Module | None = None,
    recipe: Recipe | None = None,
    quality: Quality | None = None,
    runtimes: tuple[str, ...] = ("torch",),
) -> CompressionReport:
    """Measure two networks side by side and write everything down.

    Latencies are taken in turn (before, after, before, …), so that a machine that slows down slows both.

    Args:
        before: the dense network.
        after: the shrunk network.
        example_inputs: what MACs and latency are measured on.
        plan: the plan that leads from one to the other; adds widths and budget.
        masked: the network in its original shapes; adds the largest difference to `after` on the example inputs.
        recipe: what was done; adds the papers to cite.
        quality: `model -> figure(s)`, higher is better.
        runtimes: where latency is measured: "torch", "onnxruntime"; empty for none.

    Returns:
        The report; fields that nothing is known about are empty.
    """
    example = Example.of(example_inputs)
    both = measure_all({"before": before, "after": after}, example, quality=quality, runtimes=runtimes)
    return CompressionReport(
        before=both["before"],
        after=both["after"],
        widths=_widths(plan) if plan is not None else (),
        budget=plan.provenance.budget if plan is not None else "",
        reached=plan.provenance.reached if plan is not None else 1.0,
        equivalence=_observed(masked, after, example) if masked is not None else float("nan"),
        plan_digest=plan.digest() if plan is not None else "",
        recipe=repr(recipe) if recipe is not None else "",
        papers=tuple(recipe.cite()) if recipe is not None else (),
        unknown_ops=plan.graph.unknown if plan is not None else {},
        environment=environment(),
    )


def _observed(masked: nn.Module, after: nn.Module, example: Example) -> float:
    """Largest relative difference on the example inputs and on random ones like them: examples are often all zeros."""
    device = next((t.device for t in example.tensors()), torch.device("cpu"))
    like = Example.from_spec(example.spec(), generator(0, "compare")).map(lambda x: x.to(device))
    return max(difference(outputs(masked, x), outputs(after, x)) for x in (example, like))


def _widths(plan: PruningPlan) -> tuple[Width, ...]:
    """Every group of units; for plans within weights every weight tensor, for whole modules every module."""
    asked, frozen = plan.provenance.asked, set(plan.provenance.frozen)
    if plan.granularity.modular:
        found = [Width(m, 1, int(m not in plan.removed)) for b in plan.blocks for m in b.modules]
    elif plan.is_structured:
        after = plan.graph.widths(plan.channels)
        found = [Width(g.name, g.units, after[g.name], g.pinned) for g in plan.graph.groups.values()]
    else:
        found = [Width(b.name, b.units, plan.width(b.name)) for b in plan.blocks]
        odd = plan.granularity.omitted(plan.graph)
        found += [
            Width(name, n := plan.graph.tensors[name].numel(plan.graph.full), n, why) for name, why in odd.items()
        ]
    return tuple(replace(width, asked=asked.get(width.group), frozen=width.group in frozen) for width in found)
