"""What a plan really keeps, for plans whose masks moved after they were made."""

from __future__ import annotations

from dataclasses import replace

from secateur.core.budget import Budget
from secateur.core.plan import PruningPlan
from secateur.planning.entries import entries
from secateur.planning.limits import Choices


def with_reached(plan: PruningPlan, unit: str) -> PruningPlan:
    """The plan with the share of `unit` (macs, params, weights, units) that it keeps written into its provenance."""
    blocks = {b.name: b for b in plan.blocks if b.name in plan.kept}
    parts = [b for b in blocks.values() if not b.group and not b.modules]
    sizes = {b.name: entries(plan.granularity, plan.graph, b, plan.kept[b.name].double(), 0) for b in parts}
    whole = {name: block.units for name, block in blocks.items()}
    choices = Choices(plan.graph, Budget(1.0, unit), blocks, {}, whole, entries=sizes)
    spent = choices.spent({name: plan.width(name) for name in blocks})
    return replace(plan, provenance=replace(plan.provenance, reached=spent / choices.whole, asked={}))
