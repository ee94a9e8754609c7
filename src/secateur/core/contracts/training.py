"""Schedules, regularisers and surgeries: what happens in time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, ClassVar, Self

from torch import Tensor, nn

from secateur.core.groups import ChannelGraph
from secateur.core.moment import Moment
from secateur.core.paper import Paper

if TYPE_CHECKING:
    from secateur.core.plan import PruningPlan


class Schedule(ABC):
    """Says how the kept fraction moves in time.

    Attributes:
        paper: where it was published.
        trains: whether the network is trained after every round; if not, rounds follow each other at once, each with
            new scores, also where there is no data, and only the last is trained after.
    """

    paper: ClassVar[Paper | None] = None
    trains: ClassVar[bool] = True

    @property
    @abstractmethod
    def rounds(self) -> int:
        """How many times to prune."""

    @abstractmethod
    def keep(self, t: float, final: float) -> float:
        """Kept fraction at time `t` in [0, 1]; `keep(1, final) == final`, never rising."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Regularizer(ABC):
    """Says what training is charged for.

    A regulariser holds settings only. What it has to remember from step to step lies in `Moment.memory`.

    Attributes:
        paper: where it was published.
        takes: `after_step` or `after_epoch` takes what is charged, by a proximal map, so the loss is not charged too.
    """

    paper: ClassVar[Paper | None] = None
    takes: ClassVar[bool] = False

    def attach(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Add what the penalty needs to `model` (gates, say); leaving the context restores it. By default nothing.

        Parameters that are added are trained beside the others. What they say in the end is baked into the others.
        """
        return nullcontext()

    def start(self, at: Moment) -> None:
        """Fill `at.memory` before the first step. By default nothing."""

    @abstractmethod
    def penalty(self, at: Moment) -> Tensor:
        """Scalar to add to the loss; `at.value(name)` is a parameter as the forward pass sees it."""

    def after_step(self, at: Moment) -> None:
        """Change parameters in place after an optimiser step: a proximal map, a projection. By default nothing."""

    def after_epoch(self, at: Moment) -> None:
        """Change `at.memory` at the end of an epoch: dual variables, a coefficient. By default nothing.

        What changes parameters once an epoch does so here.
        """

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Surgery(ABC):
    """Says when and how masks change while the network trains.

    Attributes:
        paper: where it was published.
        straight_through: gradients reach masked entries too, which go on moving and may come back (a soft mask); if
            not, they are zero and have zero gradient (a hard mask).
        holds: masks hold between revisions; if not, what a revision removes is set to zero once, and trains on.
        dense_gradients: `Moment.gradient` must hold those of masked entries too at every revision.
    """

    paper: ClassVar[Paper | None] = None
    straight_through: ClassVar[bool] = False
    holds: ClassVar[bool] = True
    dense_gradients: ClassVar[bool] = False

    def start(self, at: Moment) -> PruningPlan | None:
        """Look at the network before the first step and fill `at.memory`; the first masks, if there are to be any."""
        return None

    def watch(self, at: Moment) -> None:
        """Take note after every optimiser step. By default nothing."""

    @abstractmethod
    def due(self, at: Moment) -> bool:
        """Whether masks are revised after this step."""

    @abstractmethod
    def revise(self, at: Moment) -> PruningPlan:
        """New masks."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
