"""What an allocation asks of each block, before whole units, multiples and minimums have their say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from secateur.core.contracts import Allocation, Limits
from secateur.core.scores import Scores
from secateur.planning.limits import Choices


def asked(how: Allocation, scores: Scores, choices: Choices) -> dict[str, float]:
    """Block name to the fraction of its units that `how` would keep under the same budget if any width would do."""
    ideal = _AnyWidth(choices)
    counts = how.counts(scores, choices if how.whole else ideal)
    return {name: ideal.meant(name, count) / choices.blocks[name] for name, count in counts.items()}


@dataclass(frozen=True, slots=True)
class _AnyWidth(Limits):
    """Every width is allowed, and fractions of units are; counts stay whole numbers, but what they stand for is kept.

    Attributes:
        choices: the budget, and what a choice costs.
        wanted: for every block the width that it wanted last, with the whole number that was given for it.
    """

    choices: Choices
    wanted: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def blocks(self) -> Mapping[str, int]:
        """Units by block."""
        return self.choices.blocks

    def round(self, block: str, wanted: float) -> int:
        """The whole number below `wanted`, in its stead."""
        most = min(wanted, float(self.choices.ceiling[block]))
        count = max(int(most + 1e-9), 1)
        self.wanted[block] = (count, most)
        return count

    def next_up(self, block: str, count: int) -> int:
        """The same: nothing was rounded off."""
        return count

    def shape(self, block: str) -> tuple[int, ...]:
        """The same."""
        return self.choices.shape(block)

    def fits(self, counts: Mapping[str, int]) -> bool:
        """Whether what the counts stand for meets the budget."""
        return self.spent(counts) <= self.allowed

    def spent(self, counts: Mapping[str, int]) -> float:
        """What the counts stand for costs."""
        meant = {name: self.meant(name, count) for name, count in counts.items()}
        return self.choices.spent(meant)  # type: ignore[arg-type]  # costs are products of widths, of fractions as well

    @property
    def allowed(self) -> float:
        """The same."""
        return self.choices.allowed

    def topology(self, block: str) -> str:
        """The same."""
        return self.choices.topology(block)

    def work(self, block: str) -> int:
        """The same."""
        return self.choices.work(block)

    def meant(self, block: str, count: int) -> float:
        """The width that a count stands for."""
        given, wanted = self.wanted.get(block, (count, float(count)))
        return wanted if given == count else float(count)
