"""Top-k inside a block: ties broken by unit number, once, here."""

from __future__ import annotations

import torch
from torch import Tensor


def select(scores: Tensor, count: int, run: int = 0) -> Tensor:
    """The `count` highest of `scores` as a boolean vector; among equals, lower numbers stay.

    Args:
        scores: `(units,)`.
        count: how many stay.
        run: neighbours that are ranked among themselves, `count * run / units` of each such run stay; 0 ranks all.
    """
    runs = scores.view(-1, run or len(scores))
    keep = torch.zeros(runs.shape, dtype=torch.bool)
    keep.scatter_(1, ranking(runs)[:, : count // len(runs)], True)
    return keep.flatten()


def ranking(scores: Tensor) -> Tensor:
    """Unit numbers, best first, along the last dim; among equals, lower numbers come first."""
    return torch.sort(scores, descending=True, stable=True, dim=-1).indices
