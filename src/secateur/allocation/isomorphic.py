"""Isomorphic: units are ranked among those that play the same part in the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.allocation.base import allocation, best_of_all
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.scores import Scope, Scores


@allocation("isomorphic")
@dataclass(frozen=True, kw_only=True)
class Isomorphic(Allocation):
    """Rank all units of all blocks of the same topology together; every topology keeps the same share of its units.

    Scores are replaced by the share of units of the same topology that score less (equals by their middle), and the
    best stay, as many as fit (Fang et al., *Isomorphic Pruning for Vision Models*, ECCV 2024; arXiv:2407.04616). Two
    blocks are of the same topology if their units lie in equally many tensors, in the same dims and roles. Where all
    differ that is `Uniform`, where none does it is `Global`.

    Differs: the paper compares subgraphs of operators, here roles in tensors are compared; of scores that may only be
    ranked within a block it is taken, as in the paper, that they may be ranked among blocks of one topology.

    Cost: about 50 evaluations of the budget, and one sort.
    """

    paper: ClassVar[Paper | None] = Paper("fang2024")

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        if scores.comparable < Scope.GROUP:
            raise IncompatibleError(
                f"scores of {scores.criterion} may be ranked within rows only, not among blocks. Use Uniform()."
            )
        alike: dict[str, list[str]] = {}
        for name in sorted(limits.blocks):
            alike.setdefault(limits.topology(name), []).append(name)
        ranks: dict[str, Tensor] = {}
        for names in alike.values():
            every = torch.sort(torch.cat([scores.values[name] for name in names])).values
            ranks |= {name: _rank(scores.values[name], every) for name in names}
        return best_of_all(ranks, limits)


def _rank(values: Tensor, every: Tensor) -> Tensor:
    """For each value the share of `every` that is less, equals counted by half; units long gone stay gone."""
    below, upto = (torch.searchsorted(every, values.contiguous(), right=right) for right in (False, True))
    found = (below + upto).double() / (2 * len(every))
    return torch.where(torch.isfinite(values), found, values.double())
