"""How many entries of a weight stay, where units are parts of weights: the best few, or all."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from secateur.core.contracts import Block, Granularity
from secateur.core.groups import ChannelGraph
from secateur.planning.select import ranking


@dataclass(frozen=True, slots=True, eq=False)
class Entries:
    """What the units of a block hold.

    Attributes:
        units: how many there are.
        each: entries in one unit, where all hold equally many; else 0.
        best: `(units + 1,)` entries in the first so many units to be chosen, where they do not; else empty.
    """

    units: int
    each: int
    best: Tensor

    def of(self, count: int) -> int:
        """Entries in `count` units; fractions of units are taken as well, and hold what lies in between."""
        if self.each:
            return count * self.each
        whole = int(count)
        found = int(self.best[whole])
        return found if count == whole else found + (count - whole) * (int(self.best[whole + 1]) - found)


def entries(granularity: Granularity, graph: ChannelGraph, block: Block, values: Tensor, run: int = 0) -> Entries:
    """What the units of `block` hold, of which those with the highest `values` are chosen first, run by run.

    The granularity is asked to count ones, which it promises to do exactly.
    """
    shapes = {name: [axis.size(graph.full) for axis in graph.tensors[name].axes] for name in block.tensors}
    held = granularity.reduce(block, {name: torch.ones(1).expand(shape) for name, shape in shapes.items()}).long()
    if bool((held == held[0]).all()):
        return Entries(block.units, int(held[0]), torch.zeros(0, dtype=torch.long))
    runs = values.view(-1, run or len(values))
    order = ranking(runs) + torch.arange(len(runs))[:, None] * runs.shape[1]
    best = held[order.T.flatten()].cumsum(0)
    return Entries(block.units, 0, torch.cat([torch.zeros(1, dtype=torch.long), best]))
