"""What is left of the matrix of patches (im2col) that a convolution multiplies, once whole rows are of no use."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from secateur.core.plan import PruningPlan


def lowered_rows(plan: PruningPlan) -> Mapping[str, Tensor]:
    """Which rows of its patches a weight still reads, for every weight that the plan silences parts of.

    A convolution is a product of `weight.flatten(1)` and a matrix whose columns are patches of the input
    (`torch.nn.functional.unfold`). A row of patches that no output reads can be left out, with the column of the
    weight, and the product is the same: `weight.flatten(1)[:, rows] @ patches[rows]`. Count the rows with `.sum()`.

    Args:
        plan: for instance of the granularities `shape` and `intra_kernel`, which empty whole columns.

    Returns:
        Weight name to boolean `(inputs * kernel,)`, True = is read. In a convolution with groups, of every group.
    """
    masks = {name: mask for name, mask in plan.masks().items() if mask.ndim > 1}
    return {name: torch.any(mask.flatten(1), 0) for name, mask in masks.items()}
