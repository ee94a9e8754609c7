"""Top-k inside a block: ties broken by unit number, once, here."""

from __future__ import annotations

import torch
from torch import Tensor


def select(scores: Tensor, count: int) -> Tensor:
    """The `count` highest of `scores` `(units,)` as a boolean vector; among equals, lower numbers stay."""
    order = torch.sort(scores, descending=True, stable=True).indices
    keep = torch.zeros(len(scores), dtype=torch.bool)
    keep[order[:count]] = True
    return keep
