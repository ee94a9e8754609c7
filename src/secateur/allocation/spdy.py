"""SPDY: the choice of least total loss under the budget, by dynamic programming over a table of losses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from secateur.allocation.base import allocation, fill, largest_share
from secateur.core.contracts import Allocation, Limits
from secateur.core.errors import IncompatibleError
from secateur.core.paper import Paper
from secateur.core.scores import Scope, Scores


@allocation("spdy")
@dataclass(frozen=True, kw_only=True)
class SPDY(Allocation):
    """Minimise the sum over blocks of the loss at what each keeps, subject to the budget, exactly.

    The loss of a block is the sum of the scores of what goes from it, or read off a table that was measured. Costs are
    cut into `bins`, and a dynamic programme goes through blocks and bins (Frantar, Alistarh, *SPDY: Accurate Pruning
    with Speedup Guarantees*, ICML 2022; arXiv:2201.13096). Where costs of blocks add up to whole numbers of bins the
    answer is the best there is. Multiply-accumulates of channels do not add up: a block is then charged what it costs
    while the others keep what the round before gave them, and the best of some rounds that fits is taken.

    Differs: the paper goes on to search for coefficients of the losses by quality, which is a search and no allocation.

    Attributes:
        table: block name and points `(share that stays, loss)`, between which lines are drawn; of blocks that it does
            not name the scores tell.
        normalize: what makes scores of different blocks comparable, as for `Global`: "none", "mean" or "max".
        levels: at most so many numbers of units of each block are looked at.
        bins: of the cost.

    Cost: `blocks * levels * bins` steps for each of about 60 programmes where costs do not add up.
    """

    table: tuple[tuple[str, tuple[tuple[float, float], ...]], ...] = ()
    normalize: Literal["none", "mean", "max"] = "none"
    levels: int = 64
    bins: int = 2000
    whole: ClassVar[bool] = True
    paper: ClassVar[Paper | None] = Paper("frantar2022spdy")

    def __post_init__(self) -> None:
        if self.normalize not in ("none", "mean", "max") or self.levels < 2 or self.bins < 2:
            raise IncompatibleError(
                "normalize must be 'none', 'mean' or 'max', levels and bins 2 or more, "
                f"got normalize={self.normalize!r}, levels={self.levels!r}, bins={self.bins!r}."
            )

    def counts(self, scores: Scores, limits: Limits) -> Mapping[str, int]:
        """Units to keep by block."""
        names = sorted(limits.blocks)
        known = dict(self.table)
        if scores.comparable < Scope.GLOBAL and self.normalize == "none" and not set(names) <= set(known):
            raise IncompatibleError(
                f"scores of {scores.criterion} may be ranked within a block only, so they do not add up over blocks. "
                'Use SPDY(normalize="mean"), or a table for every block.'
            )
        widths = {name: self._widths(name, limits) for name in names}
        losses = {
            name: _read(known[name], widths[name], limits.blocks[name])
            if name in known
            else self._removed(scores.values[name], widths[name])
            for name in names
        }
        start = largest_share(lambda x: {n: limits.round(n, x * u) for n, u in limits.blocks.items()}, limits)
        best, now = None, start
        for _ in range(4):  # rounds of charging, the first with the others at equal shares
            found = self._programme(now, widths, losses, limits)
            total = sum(float(losses[n][widths[n].index(found[n])]) for n in names)
            if best is None or total < best[0]:
                best = (total, found)
            if found == now:
                break
            now = found
        assert best is not None

        def cheapest_loss(now: Mapping[str, int]) -> list[str]:
            drop = {
                n: _at(losses[n], widths[n], now[n]) - _at(losses[n], widths[n], limits.next_up(n, now[n])) for n in now
            }
            return sorted(now, key=lambda name: (-drop[name], now[name] / limits.blocks[name], name))

        return fill(best[1], limits, cheapest_loss)

    def _widths(self, name: str, limits: Limits) -> list[int]:
        units = limits.blocks[name]
        parts = min(units, self.levels)
        return sorted({limits.round(name, units * part / parts) for part in range(parts + 1)})

    def _removed(self, values: Tensor, widths: list[int]) -> np.ndarray:
        """The sum of the scores of what goes, for every width."""
        finite = torch.where(torch.isfinite(values), values.double(), 0.0)
        some = finite[torch.isfinite(values)]
        if self.normalize != "none" and some.numel():
            finite = finite / (some.mean() if self.normalize == "mean" else some.max()).clamp_min(1e-30)
        worst_first = finite[torch.sort(values, stable=True).indices]
        sums = torch.cat([worst_first.new_zeros(1), worst_first.cumsum(0)])
        return np.asarray(sums[[len(values) - width for width in widths]].numpy())

    def _programme(
        self,
        now: Mapping[str, int],
        widths: Mapping[str, list[int]],
        losses: Mapping[str, np.ndarray],
        limits: Limits,
    ) -> dict[str, int]:
        """The best choice by what blocks cost one at a time; the room is bisected until what comes out really fits."""
        least = {name: widths[name][0] for name in widths}
        base = limits.spent(now)
        prices = {
            n: np.array([limits.spent({**now, n: w}) - base for w in widths[n]], dtype=np.float64) for n in widths
        }
        prices = {n: p - p[0] for n, p in prices.items()}
        room = limits.allowed - limits.spent(least)
        found = _least_loss(prices, losses, widths, room, self.bins)
        if limits.fits(found):
            low, high, fitting = room, sum(float(p[-1]) for p in prices.values()), found
        else:
            low, high, fitting = 0.0, room, least
        for _ in range(14):
            if high - low <= max(room / self.bins, 1e-9):
                break
            middle = (low + high) / 2
            found = _least_loss(prices, losses, widths, middle, self.bins)
            low, high, fitting = (middle, high, found) if limits.fits(found) else (low, middle, fitting)
        return fitting

    @classmethod
    def examples(cls) -> list[SPDY]:
        """With scores, and with a table for one block; both make scores of different blocks comparable."""
        return [
            cls(normalize="max", bins=400),
            cls(table=(("0", ((1.0, 0.0), (0.5, 0.1), (0.0, 2.0))),), normalize="mean", bins=400),
        ]


def _least_loss(
    prices: Mapping[str, np.ndarray],
    losses: Mapping[str, np.ndarray],
    widths: Mapping[str, list[int]],
    room: float,
    bins: int,
) -> dict[str, int]:
    """The widths of least total loss whose prices add up to `room` at most; of equals the wider."""
    size = 1.0 if room <= bins else room / bins
    slots = int(room / size + 1e-9)
    best, chosen = np.zeros(slots + 1), []
    for name in prices:
        steps = np.ceil(prices[name] / size - 1e-9).astype(int)
        options = np.full((len(steps), slots + 1), np.inf)
        for row, step in enumerate(steps):
            if step <= slots:
                options[row, step:] = best[: slots + 1 - step] + losses[name][row]
        pick = len(steps) - 1 - np.argmin(options[::-1], axis=0)
        chosen.append(pick)
        best = options[pick, np.arange(slots + 1)]
    at, found = slots, {}
    for name, pick in zip(reversed(list(prices)), reversed(chosen), strict=True):
        row = int(pick[at])
        found[name] = widths[name][row]
        at -= int(np.ceil(prices[name][row] / size - 1e-9))
    return found


def _read(points: tuple[tuple[float, float], ...], widths: list[int], units: int) -> np.ndarray:
    """Losses at widths, along lines between the points of a table."""
    shares, losses = zip(*sorted(points), strict=True)
    return np.asarray(np.interp(np.array(widths) / units, shares, losses))


def _at(losses: np.ndarray, widths: list[int], count: int) -> float:
    return float(np.interp(count, widths, losses))
