"""The registry of collectors."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from secateur.core.contracts import Collector
from secateur.core.registry import Registry

COLLECTORS: Registry[type[Collector]] = Registry("collector")
collector = COLLECTORS


def weighted_mean(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
    """Mean of two means over `na` and `nb` examples."""
    return {name: (a[name] * na + b[name] * nb) / (na + nb) for name in a}
