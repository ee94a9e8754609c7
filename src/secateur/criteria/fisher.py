"""Fisher information of a factor on a whole channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from secateur.core.contracts import Collector, Traits, UnitCriterion
from secateur.core.errors import IncompatibleError
from secateur.core.evidence import Evidence
from secateur.core.groups import Group, Role
from secateur.core.paper import Paper
from secateur.core.scores import Scope
from secateur.criteria.base import criterion
from secateur.evidence import MaskGradient


@criterion("fisher")
@dataclass(frozen=True, kw_only=True)
class Fisher(UnitCriterion):
    """Fisher information of a factor on each channel, over everything that consumes it.

    For single weights the same idea is `obd` with hessian="fisher".

    Paper:   Liu et al., *Group Fisher Pruning for Practical Network Compression*, ICML 2021.
             arXiv:2108.00708. For single layers: Theis et al., 2018
    Formula: s(u) = E_i[ (dL_i / dm_u) ** 2 ] / 2, m_u a factor on unit u wherever it is consumed; the derivative is the
             sum of g_i w over all consuming entries
    Shapes:  group -> scores (units,)
    Cost:    one forward and backward pass per example
    Differs: not divided by the memory or the operations that the unit costs; scores are collected in eval mode, from
             standing weights

    Example:
        >>> Fisher.traits.comparable.name
        'GLOBAL'
    """

    paper: ClassVar[Paper | None] = Paper("liu2021")
    needs: ClassVar[tuple[type[Collector], ...]] = (MaskGradient,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False, comparable=Scope.GLOBAL)

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """Half the mean squared derivative."""
        found = evidence[MaskGradient]
        slots = [slot for slot in group.slots_with(Role.CONSUMES) if slot.tensor in found]
        if not slots:
            raise IncompatibleError(
                f"no parameter consumes {group.name!r}, so there is nothing that a factor on its units would be felt "
                "in. Choose taylor or magnitude."
            )
        parts = [found[slot.tensor].double()[:, slot.index].sum(2) for slot in slots]
        return torch.stack(parts).sum(0).square().mean(0) / 2
