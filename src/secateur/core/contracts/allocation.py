"""Allocations and searches: how many units each block keeps."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Self

from secateur.core.paper import Paper
from secateur.core.scores import Scores


class Allocation(ABC):
    """Says how many units each block keeps.

    Attributes:
        fills: as many units stay as fit the budget; if not, what scores zero goes though there were room.
        whole: it chooses among whole numbers of units from the start, so that it asks for what it gets.
    """

    fills: ClassVar[bool] = True
    whole: ClassVar[bool] = False

    @abstractmethod
    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block name; `limits` knows what a choice costs and which widths are allowed."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]


class Limits(ABC):
    """What an allocation may know of budget and structure, without seeing either."""

    @property
    @abstractmethod
    def blocks(self) -> Mapping[str, int]:
        """Units of every block that may be cut, in order of execution."""

    @abstractmethod
    def round(self, block: str, wanted: float) -> int:
        """The allowed number of units nearest to `wanted` from below, never less than the minimum."""

    @abstractmethod
    def fits(self, counts: Mapping[str, int]) -> bool:
        """Whether these numbers of kept units meet the budget."""

    @abstractmethod
    def next_up(self, block: str, count: int) -> int:
        """The next allowed number of units above `count`, or `count` if there is none."""

    @abstractmethod
    def shape(self, block: str) -> tuple[int, ...]:
        """The shape of the weight that the units of a block are entries or filters of: of the first, if many."""

    @abstractmethod
    def spent(self, counts: Mapping[str, int]) -> float:
        """The cost at these numbers of kept units, in the budget's own unit."""

    @property
    @abstractmethod
    def allowed(self) -> float:
        """The most that may be spent."""

    @abstractmethod
    def topology(self, block: str) -> str:
        """What the block is made of, sizes aside: equal for blocks that play the same part in the network."""

    @abstractmethod
    def work(self, block: str) -> int:
        """Multiply-accumulates of the operators that read the weight of `shape`, before any cut."""


#: `(kept units by block) -> quality of the network that keeps so many`, higher is better.
Evaluate = Callable[[Mapping[str, int]], float]


class Search(ABC):
    """Looks for the numbers of kept units at which a network is best, by trying them.

    Attributes:
        paper: where it was published.
    """

    paper: ClassVar[Paper | None] = None

    @abstractmethod
    def run(self, limits: Limits, evaluate: Evaluate, evaluations: int, seed: int) -> None:
        """Call `evaluate` `evaluations` times at most, with counts that fit at least once; the best such one wins.

        The same `limits`, qualities, `evaluations` and `seed` must lead to the same calls, so that a search that was
        broken off goes on when it is run again and known qualities are answered at once.
        """

    def worth(self, counts: Mapping[str, int], quality: float, limits: Limits) -> float:
        """What the search wants to be large: the quality, by default."""
        return quality

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
