"""Losses of distillation: how far a student is from its teacher."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from secateur.core.paper import Paper


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a network said of a batch, and on the way.

    Attributes:
        output: what its forward pass returned.
        features: what the modules returned that were asked for, by name.
    """

    output: Any
    features: Mapping[str, Tensor]


class DistillLoss(ABC):
    """Says how far a student is from its teacher.

    Attributes:
        paper: where it was published.
        layers: modules, of the same names in student and teacher, whose outputs are compared.
        matching: it is 0 where the student says what the teacher says, and nowhere less.
    """

    paper: ClassVar[Paper | None] = None
    layers: tuple[str, ...] = ()
    matching: ClassVar[bool] = True

    @abstractmethod
    def loss(self, student: Outputs, teacher: Outputs, target: Any) -> Tensor:
        """Scalar to train the student on; `teacher` is given, not trained."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
