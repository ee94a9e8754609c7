"""Entropy of activations: a unit that always says the same matters little."""

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
from secateur.criteria.base import criterion, received
from secateur.evidence import PooledInput


@criterion("entropy")
@dataclass(frozen=True, kw_only=True)
class Entropy(UnitCriterion):
    """Entropy of the histogram of each unit's pooled activation.

    Paper:   Luo and Wu, *An Entropy-based Pruning Method for CNN Compression*, 2017, Sec. 3.2. arXiv:1706.05791
    Formula: h_u = - sum_i p_i ln p_i, p_i the share of examples whose activation, averaged over places, falls into
             bin i of the range of unit u
    Shapes:  maps (examples, units, places) -> scores (units,)
    Cost:    one forward pass per batch; 4 bytes for each unit and example
    Differs: maps are taken where they are read, after activation and pooling; of several readers the mean counts; bins
             are equally wide, from the least to the greatest value of each unit

    Attributes:
        bins: how many.

    Example:
        >>> Entropy().bins
        100
    """

    bins: int = 100
    paper: ClassVar[Paper | None] = Paper("luo2017entropy")
    needs: ClassVar[tuple[type[Collector], ...]] = (PooledInput,)
    traits: ClassVar[Traits] = Traits(rescale_invariant=True, data_free=False)

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise IncompatibleError(f"bins must be 2 or more, got bins={self.bins!r}. One bin holds everything.")

    def score(self, group: Group, evidence: Evidence) -> Tensor:
        """The entropy in nats."""
        pooled = evidence[PooledInput]
        seen = {slot.tensor: pooled[slot.tensor].double() for slot in group.slots if slot.tensor in pooled}
        found: dict[str, Tensor] = {}
        for slot in group.slots:
            if slot.tensor in seen and slot.role is Role.CONSUMES:
                entries = found.setdefault(slot.tensor, torch.zeros(len(seen[slot.tensor]), dtype=torch.float64))
                entries[slot.index] = self._entropies(seen[slot.tensor][slot.index].mean(1))[:, None]
        return received(group, found, "entropy")

    def _entropies(self, values: Tensor) -> Tensor:
        """Entropy of each row of `values` (units, examples)."""
        low, high = values.amin(1, keepdim=True), values.amax(1, keepdim=True)
        width = (high - low) / self.bins
        place = torch.where(width > 0, (values - low) / torch.where(width > 0, width, 1.0), 0.0)
        counts = torch.zeros(len(values), self.bins, dtype=torch.float64)
        counts.scatter_add_(1, place.long().clamp(0, self.bins - 1), torch.ones_like(values))
        entropies: Tensor = torch.special.entr(counts / values.shape[1])
        return entropies.sum(1)

    @classmethod
    def examples(cls) -> list[Entropy]:
        """Many bins and few."""
        return [cls(), cls(bins=4)]
