"""Which ranks every layer gets: by energy, by variational Bayes, or so that the network meets a budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from secateur.apply.replacing import Layer
from secateur.core.contracts import Factorizer, Ranks
from secateur.core.errors import BudgetError, UnsupportedError
from secateur.lowrank.vbmf import vbmf

#: Costs are told apart to this share of what may be spent.
_CELLS = 2**15


@dataclass(frozen=True, slots=True)
class Choice:
    """One way to deal with one layer.

    Attributes:
        cost: multiply-accumulates or parameters.
        lost: share of the square of the weight.
        ranks: None for the layer as it is.
    """

    cost: int
    lost: float
    ranks: Ranks | None


def by_energy(one: Factorizer, layers: Mapping[str, Layer], energy: float) -> dict[str, Ranks | None]:
    """The fewest ranks that keep this share of the square of each weight; None where that saves nothing."""
    if not 0 < energy <= 1:
        raise BudgetError(f"energy must be in (0, 1], got energy={energy!r}. It is the kept share of ||W||^2.")
    found: dict[str, Ranks | None] = {}
    for name, layer in layers.items():
        enough = [c for c in choices(one, layer, "macs") if 1 - c.lost >= energy]
        found[name] = min(enough, key=lambda c: c.cost).ranks
    return found


def by_bayes(one: Factorizer, layers: Mapping[str, Layer]) -> dict[str, Ranks | None]:
    """As many components as are more than noise, and 1 at least; None where that saves nothing."""
    found: dict[str, Ranks | None] = {}
    for name, layer in layers.items():
        matrices = one.unfoldings(layer.module)
        if not matrices:
            raise UnsupportedError(
                f"{one!r} has ranks that are not those of matrices, of which alone variational Bayes speaks. Pass "
                "energy= or budget=, or choose svd, spatial, tucker2 or tt."
            )
        ranks = tuple(max(1, vbmf(matrix).rank) for matrix in matrices)
        found[name] = ranks if cost(one, layer, ranks, "macs") < layer.macs else None
    return found


def by_budget(one: Factorizer, layers: Mapping[str, Layer], rest: int, most: int, of: str) -> dict[str, Ranks | None]:
    """Ranks with which layers and rest together stay below a cost, and the sum of losses is least.

    Dynamic programming over layers: the least loss for every cost of the layers so far. Costs are rounded up to
    1 / 32768 of what may be spent; whatever fits in the end because of that is taken.

    Args:
        one: the factorizer.
        layers: what it may work on.
        rest: what all else costs.
        most: what all may cost together.
        of: "macs" or "params".

    Raises:
        BudgetError: even the lowest ranks cost more.
    """
    options = {name: front(choices(one, layer, of)) for name, layer in layers.items()}
    least = sum(found[0].cost for found in options.values())
    if least + rest > most:
        dense = rest + sum(found[-1].cost for found in options.values())
        raise BudgetError(
            f"with all ranks at their least {least + rest} {of} remain, {most} are allowed. Raise the budget to "
            f"{(least + rest) / dense:.3g} or more, or name other layers in only=.",
            (least + rest) / dense,
        )
    at = cheapest(options, most - rest)
    left = most - rest - sum(choice.cost for choice in at.values())
    while gains := [
        (at[name].lost - choice.lost, name, choice)
        for name, found in options.items()
        for choice in found
        if choice.lost < at[name].lost and choice.cost - at[name].cost <= left
    ]:
        _, name, choice = max(gains, key=lambda gain: gain[0])
        left -= choice.cost - at[name].cost
        at[name] = choice
    return {name: choice.ranks for name, choice in at.items()}


def cheapest(options: Mapping[str, Sequence[Choice]], most: int) -> dict[str, Choice]:
    """One choice for each layer, with the least sum of losses among those that cost `most` at most together."""
    base = {name: found[0].cost for name, found in options.items()}  # what has to be spent in any case
    left = most - sum(base.values())
    unit = -(-left // _CELLS) or 1
    best = torch.zeros(left // unit + 1, dtype=torch.float64)
    picks: dict[str, Tensor] = {}
    for name, found in options.items():
        after = torch.full_like(best, float("inf"))
        pick = torch.zeros(len(best), dtype=torch.long)
        for number, choice in enumerate(found):
            shift = -(-(choice.cost - base[name]) // unit)
            if shift >= len(best):
                break
            loss = best[: len(best) - shift] + choice.lost
            better = loss < after[shift:]
            after[shift:] = torch.where(better, loss, after[shift:])
            pick[shift:][better] = number
        best, picks[name] = after, pick
    cell, chosen = len(best) - 1, {}
    for name, found in reversed(list(options.items())):
        choice = chosen[name] = found[int(picks[name][cell])]
        cell -= -(-(choice.cost - base[name]) // unit)
    return chosen


def choices(one: Factorizer, layer: Layer, of: str) -> list[Choice]:
    """All that cost less than the layer as it is, and the layer as it is, last."""
    whole = Choice(layer.macs if of == "macs" else layer.params, 0.0, None)
    curve = [Choice(cost(one, layer, c.ranks, of), c.lost, c.ranks) for c in one.curve(layer.module)]
    return [*(c for c in curve if c.cost < whole.cost), whole]


def cost(one: Factorizer, layer: Layer, ranks: Ranks, of: str) -> int:
    """Multiply-accumulates of all calls of a layer's factors, or their parameters."""
    if of == "params":
        return one.params(layer.module, ranks)
    return sum(one.macs(layer.module, ranks, call) for call in layer.calls)


def front(found: Sequence[Choice]) -> list[Choice]:
    """The choices of which no other costs and loses as little, in order of cost."""
    kept: list[Choice] = []
    for choice in sorted(found, key=lambda c: (c.cost, c.lost)):
        if not kept or choice.lost < kept[-1].lost:
            kept.append(choice)
    return kept
