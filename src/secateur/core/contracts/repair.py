"""Repairs: what mends the kept weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from torch import nn

from secateur.core.contracts.common import Batches
from secateur.core.contracts.evidence import Collector
from secateur.core.evidence import Evidence
from secateur.core.paper import Paper

if TYPE_CHECKING:
    from secateur.core.plan import PruningPlan


@dataclass(frozen=True, slots=True)
class Known:
    """What a repair may know: evidence about the dense network, and batches."""

    evidence: Evidence
    batches: Batches


class Repair(ABC):
    """Mends what is kept after a cut.

    Attributes:
        stage: repairs of a lower stage must come first: 0 moves biases, 1 fits weights to what biases leave, 2 takes
            statistics of what comes out in the end.
        mends: what is no further from the dense network's than before: "outputs", or "losses", those of single
            examples, as far as they are linear in what goes.
    """

    stage: ClassVar[int] = 1
    mends: ClassVar[Literal["outputs", "losses"]] = "outputs"
    paper: ClassVar[Paper | None] = None
    needs: ClassVar[tuple[type[Collector], ...]] = ()

    @abstractmethod
    def repair_(self, student: nn.Module, dense: nn.Module, plan: PruningPlan, known: Known) -> None:
        """Change `student` (masked by `plan`) in place, given the `dense` network that it came from."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
