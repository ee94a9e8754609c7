"""Factorize: low rank as a step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.chain.base import Given, State, Step, step
from secateur.lowrank import factorize


@step("factorize")
@dataclass(frozen=True, kw_only=True)
class Factorize(Step):
    """Replace layers by thin ones in a row.

    Attributes:
        factorizer: a name from `secateur list factorizers`.
        budget: what may remain of the network, "0.5 macs", or how long it may take, "8 ms".
        only: pattern of the modules that may be factorized.

    Example:
        >>> str(Factorize(budget="0.5 macs"))
        'factorize by tucker2 to 0.5 macs'
    """

    factorizer: str = "tucker2"
    budget: str = "0.5 macs"
    only: str = "*"
    stage: ClassVar[int | None] = 1

    def __str__(self) -> str:
        return f"factorize by {self.factorizer} to {self.budget}"

    def apply(self, state: State, given: Given) -> State:
        """The network with thin layers."""
        made = factorize(
            state.model, self.factorizer, example_inputs=given.example_inputs, budget=self.budget, only=(self.only,)
        )
        told = (f"{len(made.layers)} layers factorized, {len(made.whole)} left whole",)
        return State(model=made.model, told=told if made.time is None else (*told, str(made.time)))
