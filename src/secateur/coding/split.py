"""A tensor taken apart: where it is not zero, and what stands there, as levels, steps or bits."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from secateur.coding.codecs.base import Whole
from secateur.coding.dtypes import patterns
from secateur.coding.levels import MOST_LEVELS, Patterns, in_order
from secateur.coding.live import Flags
from secateur.core.errors import IncompatibleError
from secateur.core.quantized import Quantized

Kind = Literal["codebook", "grid", "bits"]
KINDS: tuple[Kind, ...] = ("codebook", "grid", "bits")


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """A tensor taken apart.

    Attributes:
        kind: what the codes are: numbers of levels, or steps of an even grid; with "bits" there are none.
        rows: entries of its first dim; columns: of all others together.
        columns: entries of all dims but the first.
        mask: `(rows, columns)`, where it is not zero.
        codes: `(rows, columns)`, 0 where it is zero, else from 1; empty for "bits".
        levels: bit patterns by code - 1, for a codebook.
        scales: float32, for a grid, and the dim along which they differ.
        dim: that dim.
        bits: pattern of every entry.
        itemsize: bytes per entry.
        period: columns per row of a picture, or of a kernel, where the columns are such; else 0.
    """

    kind: Kind
    rows: int
    columns: int
    mask: Flags
    codes: Whole
    bits: Patterns
    itemsize: int
    levels: Patterns | None = None
    scales: np.ndarray | None = None
    dim: int = 0
    period: int = 0


def nonzero(tensor: Tensor) -> Flags:
    """Which entries have a bit set, row by row."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if not flat.numel():
        return np.zeros(0, dtype=bool)
    return (flat.view(torch.uint8).reshape(flat.numel(), -1) != 0).any(1).numpy()


def outline(shape: tuple[int, ...]) -> tuple[int, int]:
    """Rows and columns of a tensor: its first dim, and all others. A vector is a column."""
    return (shape[0], prod(shape[1:])) if shape else (1, 1)


def split(tensor: Tensor) -> Split:
    """Take a tensor apart as it is; few values make a codebook."""
    bits = patterns(tensor)
    rows, columns = outline(tuple(tensor.shape))
    mask = (bits != 0).reshape(rows, columns)
    filled = bits[bits != 0]
    itemsize = tensor.dtype.itemsize
    period = period_of(tuple(tensor.shape))
    signed = tensor.dtype.is_floating_point
    levels = in_order(np.unique(filled), 8 * itemsize - 1, signed=signed) if _few(filled, itemsize) else None
    if levels is None:
        return Split("bits", rows, columns, mask, np.zeros((0, 0), np.int64), bits, itemsize, period=period)
    codes = np.zeros(bits.size, dtype=np.int64)
    order = np.argsort(levels)
    codes[bits != 0] = order[np.searchsorted(levels[order], filled)] + 1
    return Split("codebook", rows, columns, mask, codes.reshape(rows, columns), bits, itemsize, levels, period=period)


def split_grid(found: Quantized, shape: tuple[int, ...]) -> Split:
    """Take a tensor on an even grid apart: steps from zero, folded so that they start at 0: 0, 1, -1, 2, -2.

    Raises:
        IncompatibleError: codes are too far from zero to be kept in 31 bits.
    """
    assert found.scale is not None
    assert found.zero is not None
    along = [1] * found.codes.ndim
    if found.scale.numel() > 1:
        along[found.dim] = -1
    steps = found.codes.cpu().numpy().astype(np.int64) - found.zero.cpu().numpy().astype(np.int64).reshape(along)
    if steps.size and int(np.abs(steps).max()) >= 2**24:
        raise IncompatibleError("codes of an even grid must lie within 2^24 of their zero. Use fewer bits.")
    rows, columns = outline(shape)
    codes = np.where(steps > 0, 2 * steps - 1, -2 * steps).reshape(rows, columns)
    return Split(
        "grid",
        rows,
        columns,
        codes != 0,
        codes,
        patterns(found.values()),
        4,
        scales=found.scale.detach().cpu().numpy().astype(np.float32),
        dim=found.dim % max(1, found.codes.ndim) if found.scale.numel() > 1 else 0,
        period=period_of(shape),
    )


def unfolded(codes: Whole) -> Whole:
    """Steps from zero."""
    return np.where(codes & 1, (codes + 1) >> 1, -(codes >> 1))


def _few(filled: Patterns, itemsize: int) -> bool:
    if itemsize == 1:
        return True
    sample = filled[:: max(1, filled.size // 4096)][:4096]
    if np.unique(sample).size > MOST_LEVELS:
        return False
    size = np.unique(filled).size
    return size <= MOST_LEVELS and (size <= 2 or 2 * size <= filled.size)


def period_of(shape: tuple[int, ...]) -> int:
    """A picture's width where the columns may be pixels; a kernel's where they are its entries."""
    if len(shape) == 4 and shape[3] > 1:
        return shape[3] if shape[3] < 256 else 0
    if len(shape) == 2:
        side = round(shape[1] ** 0.5)
        return side if 8 <= side < 256 and side * side == shape[1] else 0
    return 0
