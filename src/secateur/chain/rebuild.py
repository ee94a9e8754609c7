"""Rebuild: compact blocks as a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.chain.base import Given, State, Step, step
from secateur.compact import rebuild


@step("rebuild")
@dataclass(frozen=True, kw_only=True)
class Rebuild(Step):
    """Replace convolutions by compact blocks, which need training after it.

    Attributes:
        compact: a name from `secateur list compacts`.
        only: pattern of the modules that may be replaced.

    Example:
        >>> str(Rebuild(compact="ghost"))
        'rebuild with ghost'
    """

    compact: str = "depthwise_separable"
    only: str = "*"
    stage: ClassVar[int | None] = 1

    def __str__(self) -> str:
        return f"rebuild with {self.compact}"

    def apply(self, state: State, given: Given) -> State:
        """The network with compact blocks."""
        made = rebuild(state.model, self.compact, example_inputs=given.example_inputs, only=(self.only,))
        return State(model=made.model, told=(f"{len(made.layers)} layers rebuilt, {len(made.whole)} left whole",))
