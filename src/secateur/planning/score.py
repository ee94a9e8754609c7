"""`score`: let a criterion look at the evidence, block by block."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from secateur.core.contracts import Block, Criterion, ElementCriterion, Granularity, ModuleCriterion, UnitCriterion
from secateur.core.errors import SecateurError
from secateur.core.evidence import Evidence
from secateur.core.groups import ChannelGraph
from secateur.core.scores import Scores
from secateur.granularity import Channel
from secateur.planning.check import check


def score(
    graph: ChannelGraph,
    criterion: Criterion,
    evidence: Evidence,
    *,
    granularity: Granularity | None = None,
    leave: Collection[str] = (),
) -> Scores:
    """Score every unit that may be removed.

    Args:
        graph: the structure.
        criterion: which units matter.
        evidence: must hold what `criterion.needs` names.
        granularity: what one unit is; channels by default.
        leave: blocks that lose nothing, so that nothing need be known of them: their names.

    Returns:
        Scores, higher = keep, float64.

    Raises:
        IncompatibleError: criterion and granularity cannot meet.
        MissingEvidenceError: evidence lacks a quantity.
        SecateurError: a score is not finite.
    """
    unit = Channel() if granularity is None else granularity
    check(criterion, unit)
    values = {
        block.name: _one(criterion, unit, block, evidence) for block in unit.blocks(graph) if block.name not in leave
    }
    for name, scores in values.items():
        if not bool(torch.isfinite(scores).all()):
            raise SecateurError(
                f"{criterion!r} gave scores that are not finite for {name!r}. Check weights and data for NaN."
            )
    return Scores(values, unit, repr(criterion), criterion.traits.comparable)


def _one(criterion: Criterion, granularity: Granularity, block: Block, evidence: Evidence) -> Tensor:
    match criterion:
        case ElementCriterion():
            saliency = {name: criterion.saliency(name, evidence) for name in block.tensors}
            return granularity.reduce(block, saliency).double()
        case UnitCriterion():
            assert block.group is not None
            return criterion.score(block.group, evidence).double()
        case ModuleCriterion():
            return criterion.score(block.modules, evidence).double()
        case _:
            raise SecateurError(
                f"{criterion!r} is no ElementCriterion, UnitCriterion or ModuleCriterion. Derive it from one of them."
            )
