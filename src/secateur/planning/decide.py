"""`decide`: evidence and a budget in, a decision out; block after block, where a criterion asks for that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from secateur.core.budget import Budget
from secateur.core.contracts import Allocation, Criterion, Granularity, Limits
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.plan import PruningPlan
from secateur.core.scores import Scores
from secateur.evidence import Weight
from secateur.granularity import Channel
from secateur.planning.plan import Constraints, plan, untouched
from secateur.planning.score import score


def decide(
    graph: ChannelGraph,
    criterion: Criterion,
    evidence: Evidence,
    budget: Budget,
    allocation: Allocation | None = None,
    *,
    granularity: Granularity | None = None,
    constraints: Constraints | None = None,
    seed: int = 0,
) -> PruningPlan:
    """Score every unit and decide which stay.

    A criterion that scores `in_order` decides block by block: how many units each block keeps follows from the scores
    of the whole network, as always; which ones follows from what is left of the block once those before it were cut.

    Args:
        graph: the structure.
        criterion: which units matter.
        evidence: must hold what `criterion.needs` names.
        budget: what may remain.
        allocation: how many each block keeps; uniform by default.
        granularity: what one unit is; channels by default.
        constraints: multiples, frozen blocks, an earlier plan.
        seed: written into the provenance.

    Returns:
        The plan.

    Raises:
        SecateurError: whatever `score` and `plan` raise.
    """
    unit, criterion = Channel() if granularity is None else granularity, criterion.of_share(budget.keep)
    leave = untouched(graph, unit, constraints or Constraints())
    scores = score(graph, criterion, evidence, granularity=unit, leave=leave)
    made = plan(graph, scores, budget, allocation, constraints=constraints, seed=seed)
    if not criterion.in_order:
        return made
    counts = Counts({block.name: made.width(block.name) for block in made.blocks})
    left, values = evidence, dict(scores.values)
    decided = made
    for block in [block for block in made.blocks if block.name not in leave]:
        values[block.name] = score(graph, criterion, left, granularity=unit).values[block.name]
        decided = plan(graph, replace(scores, values=values), budget, counts, constraints=constraints, seed=seed)
        if block.name in decided.kept:
            masks = unit.expand(graph, block, decided.kept[block.name])
            weights = {name: w * masks[name] if name in masks else w for name, w in left[Weight].items()}
            left = Evidence({**left.values, Weight: weights}, left.samples, left.reads)
    return replace(decided, provenance=made.provenance)


@dataclass(frozen=True, slots=True)
class Counts(Allocation):
    """What was decided already.

    Attributes:
        kept: units by block.
    """

    kept: Mapping[str, int]

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """The same."""
        return {name: self.kept[name] for name in limits.blocks}
