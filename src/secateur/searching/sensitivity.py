"""`sensitivity`: what the network loses when one block alone is cut, over a grid of shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from secateur.allocation import SPDY, Sensitivity
from secateur.core.budget import Budget
from secateur.core.contracts import Batches, Quality
from secateur.core.errors import IncompatibleError
from secateur.core.rng import private_random
from secateur.searching.memory import Memory
from secateur.searching.verb import Parts, SearchRun, looked_at, problem_of, ready_to_try, remembered, stores

SHARES = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1)


@dataclass(frozen=True, slots=True)
class Sensitivities:
    """What `sensitivity` returns.

    Attributes:
        dense: the quality of the whole network.
        curves: block name and points `(share that stays, quality)`, from much to little.
        broken_off: Ctrl-C ended the scan; curves of some blocks are short or missing.
    """

    dense: float
    curves: Mapping[str, tuple[tuple[float, float], ...]]
    broken_off: bool = False

    @property
    def losses(self) -> tuple[tuple[str, tuple[tuple[float, float], ...]], ...]:
        """The same as losses of quality, as allocations take them."""
        return tuple(
            (name, ((1.0, 0.0), *((share, self.dense - quality) for share, quality in points)))
            for name, points in self.curves.items()
        )

    def allocation(self) -> Sensitivity:
        """Every block keeps the least share at which it alone loses no more than one tolerance for all."""
        return Sensitivity(curves=self.losses)

    def least_loss(self) -> SPDY:
        """Shares of least total loss, if losses of blocks added up."""
        return SPDY(table=self.losses, normalize="mean")


def sensitivity(
    model: nn.Module,
    recipe: Parts,
    *,
    example_inputs: Any,
    quality: Quality,
    data: Batches | None = None,
    shares: Sequence[float] = SHARES,
    run: SearchRun | None = None,
) -> Sensitivities:
    """Cut each block alone to each share, mend, and judge; nothing is trained.

    Judge on examples that were held out of the *training* data, never on test data: what is read off is fitted to them.

    Args:
        model: a trained network; it is left exactly as it was.
        recipe: criterion and granularity, or a recipe (or its name) of which these and the repairs are used.
        example_inputs: a tensor, a tuple of arguments, or a dict of keyword arguments.
        quality: `model -> figure(s)`, higher is better; of several the first counts.
        data: `(inputs, target)` batches for evidence and repairs.
        shares: of a block that stay, in (0, 1).
        run: seed, folder, repairs, constraints, progress; a scan that finds its own journal goes on.

    Returns:
        A curve for each block. Ctrl-C ends the scan and returns what was found so far.
    """
    wrong = [share for share in shares if not 0 < share < 1]
    if wrong or not shares:
        raise IncompatibleError(f"shares must be in (0, 1), got {wrong or 'none'}. 0.5 leaves half of a block.")
    settings = run or SearchRun()
    graph, known = looked_at(model, recipe, example_inputs, data, settings)
    trying = ready_to_try(model, graph, recipe, Budget(1.0, "units"), known, quality, settings)
    choices = trying.ready.choices
    with private_random(settings.seed):
        dense = trying.figure(model)
    problem = {**problem_of(trying, dense), "search": "sensitivity", "seed": settings.seed}
    memory = Memory(stores(settings, problem, choices.blocks), tuple(choices.blocks))
    curves: dict[str, dict[float, float]] = {}
    tries = [(n, u, choices.round(n, share * u)) for n, u in choices.blocks.items() for share in sorted(shares)[::-1]]
    whole = {name: choices.round(name, units) for name, units in choices.blocks.items()}
    try:
        for number, (name, units, count) in enumerate(tries, 1):
            found = remembered(trying, memory, settings.seed, {**whole, name: count})
            curves.setdefault(name, {})[count / units] = found
            if settings.progress is not None:
                settings.progress(f"sensitivity, {name} at {count} of {units}: {found:.4f}", number, len(tries))
    except KeyboardInterrupt:
        if not curves:
            raise
    points = {name: tuple(curve.items()) for name, curve in curves.items()}
    return Sensitivities(dense, points, sum(map(len, curves.values())) < len({(n, c) for n, _, c in tries}))
