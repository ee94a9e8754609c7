"""The registry of searches, how shares become counts that fit, and who remembers the best."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from secateur.allocation.base import fill, largest_share
from secateur.core.contracts import Evaluate, Limits, Search
from secateur.core.errors import UnsupportedError
from secateur.core.registry import Registry

SEARCHES: Registry[type[Search]] = Registry("search")
search = SEARCHES

#: Shares below this count as this: a block that asks for nothing gets its minimum anyway.
_LEAST = 1e-3


def project(shares: Mapping[str, float], limits: Limits) -> dict[str, int]:
    """The counts in proportion to `shares` of the blocks that just fit: all are scaled by one factor, none beyond all.

    What rounding leaves over is spent where most was rounded off, so that no further unit of any block fits.

    Args:
        shares: block name to a share in [0, 1]; only their proportions matter.
        limits: what fits.
    """
    wanted = {name: max(shares[name], _LEAST) for name in limits.blocks}
    least = min(wanted.values())

    def at(share: float) -> dict[str, int]:
        return {n: limits.round(n, units * wanted[n] * share / least) for n, units in limits.blocks.items()}

    def most_rounded_off(now: Mapping[str, int]) -> list[str]:
        return sorted(now, key=lambda name: (now[name] / limits.blocks[name] / wanted[name], name))

    return fill(largest_share(at, limits), limits, most_rounded_off)


def stages(blocks: Sequence[str], most: int) -> list[tuple[str, ...]]:
    """The blocks in order, in at most so many runs of nearly equal length."""
    parts = min(most, len(blocks))
    cuts = [len(blocks) * number // parts for number in range(parts + 1)]
    return [tuple(blocks[a:b]) for a, b in pairwise(cuts)]


def lowest(limits: Limits, share: float = 0.0) -> dict[str, int]:
    """Every block at its minimum, or at `share` of its units where that fits."""
    wished = {name: limits.round(name, share * units) for name, units in limits.blocks.items()}
    return wished if limits.fits(wished) else {name: limits.round(name, 0.0) for name in limits.blocks}


def options(limits: Limits) -> dict[str, list[int]]:
    """Every allowed number of units of every block, smallest first."""
    found = {name: [limits.round(name, 0.0)] for name in limits.blocks}
    for name, counts in found.items():
        while (more := limits.next_up(name, counts[-1])) != counts[-1]:
            counts.append(more)
    return found


@contextmanager
def optuna_library(why: str) -> Iterator[Any]:
    """Optuna, which says nothing but errors inside.

    Args:
        why: who needs it, for the error.

    Raises:
        UnsupportedError: it is not installed.
    """
    try:
        import optuna  # noqa: PLC0415  an extra
    except ImportError as error:
        raise UnsupportedError(
            f"{why} needs Optuna, which is not installed. Run pip install 'secateur[search]', or choose the searches "
            "random or netadapt, which need nothing."
        ) from error
    said = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield optuna
    finally:
        optuna.logging.set_verbosity(said)


class EnoughError(Exception):
    """Raised inside a search that asks for more evaluations than it has."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One evaluation.

    Attributes:
        number: how many came before it.
        counts: kept units by block.
        quality: what was found.
        worth: what the search makes of it.
        spent: the cost at these counts, in the budget's unit.
        fits: the cost is within the budget; a search may look at others on its way.
        known: it was answered from memory.
    """

    number: int
    counts: Mapping[str, int]
    quality: float
    worth: float
    spent: float
    fits: bool = True
    known: bool = False


@dataclass(slots=True)
class Attempt:
    """One run of a search.

    Attributes:
        how: the search.
        limits: what fits.
        evaluate: the quality of counts; asked once for each different choice.
        evaluations: at most so many are asked for, those that are known already among them.
        heard: told of every trial, with the best so far.
        trials: all of them, in order.
        best: of those that fit the trial of highest worth, of equals the first; None before the first.
        broken_off: it ended by Ctrl-C.
    """

    how: Search
    limits: Limits
    evaluate: Evaluate
    evaluations: int
    heard: Callable[[Trial, Trial | None], None] | None = None
    trials: list[Trial] = field(default_factory=list)
    best: Trial | None = None
    broken_off: bool = False
    _memory: dict[tuple[int, ...], float] = field(default_factory=dict)

    def run(self, seed: int) -> None:
        """Search; Ctrl-C ends it with what was found so far, if anything was."""
        try:
            self.how.run(self.limits, self._asked, self.evaluations, seed)
        except EnoughError:
            pass
        except KeyboardInterrupt:
            if self.best is None:
                raise
            self.broken_off = True

    def _asked(self, counts: Mapping[str, int]) -> float:
        if len(self.trials) >= self.evaluations:
            raise EnoughError
        chosen = {name: int(counts[name]) for name in self.limits.blocks}
        key = tuple(chosen.values())
        known = key in self._memory
        quality = self._memory[key] if known else float(self.evaluate(chosen))
        self._memory[key] = quality
        worth = self.how.worth(chosen, quality, self.limits)
        spent, fits = self.limits.spent(chosen), self.limits.fits(chosen)
        trial = Trial(len(self.trials), chosen, quality, worth, spent, fits, known)
        self.trials.append(trial)
        if fits and (self.best is None or worth > self.best.worth):
            self.best = trial
        if self.heard is not None:
            self.heard(trial, self.best)
        return quality
