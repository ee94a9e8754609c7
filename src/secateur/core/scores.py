"""Scores: the verdict of a criterion. Higher is more important, always."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from secateur.core.contracts import Granularity


class Scope(IntEnum):
    """Across what scores may be ranked: within a row of a weight, within a block, or over the whole network."""

    ROW = 0
    GROUP = 1
    GLOBAL = 2


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """Scores of every unit that may be removed.

    Attributes:
        values: block name to `(units,)` float, higher = keep.
        granularity: what one unit is.
        criterion: `repr` of the criterion.
        comparable: the widest scope in which the numbers may be ranked against each other.
    """

    values: Mapping[str, Tensor]
    granularity: Granularity
    criterion: str
    comparable: Scope
