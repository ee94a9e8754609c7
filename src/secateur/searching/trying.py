"""One evaluation: cut a copy as the counts say, mend it, ask how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from secateur.apply.masking import mask
from secateur.apply.shrinking import shrink_
from secateur.core.contracts import Criterion, Known, Quality, Repair
from secateur.core.errors import SecateurError
from secateur.core.plan import PruningPlan
from secateur.planning import Constraints, Prepared, decide
from secateur.planning.decide import Counts
from secateur.repair import BatchNorm


@dataclass(frozen=True, slots=True, eq=False)
class Trying:
    """How candidates are judged. Nothing is traced, scored or verified again for any of them.

    Attributes:
        model: the dense network; it is not touched.
        ready: scores and what may be chosen.
        criterion: for those that decide block by block.
        constraints: the same as `ready` was prepared with.
        repair: what mends a candidate, in order.
        known: evidence, and batches for the repairs.
        quality: of a network, higher is better; of several figures the first counts.
    """

    model: nn.Module
    ready: Prepared
    criterion: Criterion
    constraints: Constraints
    repair: tuple[Repair, ...]
    known: Known
    quality: Quality

    def plan(self, counts: Mapping[str, int], allocation: str, seed: int = 0) -> PruningPlan:
        """The plan that keeps so many units of every block."""
        if not self.criterion.in_order:
            return self.ready.decided(counts, allocation=allocation, seed=seed)
        choices, scores = self.ready.choices, self.ready.scores
        return decide(
            choices.graph,
            self.criterion,
            self.known.evidence,
            choices.budget,
            Counts(counts),
            granularity=scores.granularity,
            constraints=self.constraints,
            seed=seed,
        )

    def network(self, plan: PruningPlan) -> nn.Module:
        """A copy, cut and mended; smaller tensors where there are some, so that it runs faster."""
        student = mask(self.model, plan)
        late = tuple(r for r in self.repair if isinstance(r, BatchNorm))  # statistics are the same of a smaller copy
        for repair in self.repair:
            if repair not in late:
                repair.repair_(student, self.model, plan, self.known)
        small = shrink_(student, plan)
        for repair in late:
            repair.repair_(small, self.model, plan, self.known)
        return small.eval()

    def figure(self, model: nn.Module) -> float:
        """The quality as one number.

        Raises:
            SecateurError: it is not a number.
        """
        found = self.quality(model)
        figure = float(next(iter(found.values())) if isinstance(found, Mapping) else found)
        if math.isnan(figure):
            raise SecateurError(
                "quality returned NaN. It must return a number, higher is better: return 0.0 or -inf for a network "
                "that fails."
            )
        return figure
