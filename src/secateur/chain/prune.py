"""Prune: a recipe as a step."""

from __future__ import annotations

from dataclasses import dataclass

from secateur.apply.masking import is_masked
from secateur.chain.base import Given, State, Step, step
from secateur.core.budget import read_budget
from secateur.core.errors import IncompatibleError
from secateur.core.recipe import Recipe
from secateur.core.report import InTime
from secateur.files import read_text, recipe_from_toml
from secateur.methods import recipe as named
from secateur.pipeline import compress
from secateur.run import Run


@step("prune")
@dataclass(frozen=True, kw_only=True)
class Prune(Step):
    """Prune by a recipe, and fine-tune as it says.

    Attributes:
        recipe: a name from `secateur list recipes`, the path of a recipe in TOML, or a `Recipe`.
        budget: what may remain of the network as this step finds it, "0.5 macs", or how long it may
            take, "8 ms"; the recipe's own if empty.

    Example:
        >>> str(Prune(recipe="li2017", budget="0.5 macs"))
        'prune by li2017 to 0.5 macs'
    """

    recipe: str | Recipe = "li2017"
    budget: str = ""
    reason = "pruned weights would not stay zero, or would be counted among those that a shape still has"

    @property
    def stage(self) -> int:  # type: ignore[override]  # it depends on what is pruned
        """Whole units change shapes, single weights do not."""
        return 1 if self._recipe.granularity.structured else 2

    @property
    def _recipe(self) -> Recipe:
        if not isinstance(self.recipe, str):
            return self.recipe
        return recipe_from_toml(read_text(self.recipe)) if self.recipe.endswith(".toml") else named(self.recipe)

    def __str__(self) -> str:
        name = self.recipe if isinstance(self.recipe, str) else "a recipe of your own"
        return f"prune by {name}{f' to {read_budget(self.budget)}' if self.budget else ''}"

    def apply(self, state: State, given: Given) -> State:
        """The shrunk network, or the masked one where single weights went."""
        how = self._recipe
        if is_masked(state.model):
            raise IncompatibleError(f"{self}: weights were pruned before. Write one step with the smaller budget.")
        made = compress(
            state.model,
            how,
            example_inputs=given.example_inputs,
            budget=self.budget or None,
            data=given.data,
            seed=given.seed,
            run=Run(loss=given.loss, runtimes=(), progress=given.progress),
        )
        structured = made.plan.is_structured
        first = state.plan is None and state.model is given.dense
        return State(
            model=made.model if structured else made.masked,
            plan=made.plan if structured and first else None,
            told=(
                f"kept {made.report.reached:.4g} of what was asked for {made.report.budget}",
                *_timed(made.report.time),
            ),
        )


def _timed(time: InTime | None) -> tuple[str, ...]:
    return () if time is None else (str(time),)
