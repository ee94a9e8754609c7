"""Top-k inside a block: ties broken by unit number, once, here."""

from __future__ import annotations

import torch
from torch import Tensor


def select(scores: Tensor, count: int) -> Tensor:
    """The `count` highest of `scores` `(units,)` as a boolean vector; among equals, lower numbers stay."""
    keep = torch.zeros(len(scores), dtype=torch.bool)
    keep[ranking(scores)[:count]] = True
    return keep


def ranking(scores: Tensor) -> Tensor:
    """Unit numbers, best first, `(units,)`; among equals, lower numbers come first."""
    return torch.sort(scores, descending=True, stable=True).indices
