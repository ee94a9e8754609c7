"""The registry of codecs, and what they share: checked symbols, and the entropy that they are measured against."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secateur.core.contracts import Codec
from secateur.core.errors import CodecError, IncompatibleError
from secateur.core.registry import Registry

CODECS: Registry[type[Codec]] = Registry("codec")
codec = CODECS

#: Symbols are below this.
SYMBOLS = 2**32
#: No stream has more symbols.
MOST = 2**40

Whole = NDArray[np.int64]


def whole(symbols: Tensor) -> Whole:
    """Symbols as int64, checked.

    Raises:
        IncompatibleError: they are not one row of whole numbers from 0 to 2^32 - 1.
    """
    if symbols.ndim != 1 or symbols.dtype.is_floating_point or symbols.dtype.is_complex:
        raise IncompatibleError(
            f"symbols must be one row of whole numbers, got {symbols.dtype} of shape {tuple(symbols.shape)}. "
            "Flatten them, and number what they stand for."
        )
    found = symbols.detach().cpu().numpy().astype(np.int64)
    if found.size and (int(found.min()) < 0 or int(found.max()) >= SYMBOLS):
        raise IncompatibleError(
            f"symbols must lie in [0, 2^32), got {int(found.min())} to {int(found.max())}. Number them from 0."
        )
    return found


def tensor(symbols: NDArray[Any]) -> Tensor:
    """Decoded symbols, int64."""
    return torch.from_numpy(np.ascontiguousarray(symbols, dtype=np.int64))


def entropy(symbols: NDArray[Any]) -> float:
    """Bits that an ideal coder spends on `symbols` if it knows how often each comes up: their empirical entropy."""
    counts = np.unique(symbols, return_counts=True)[1].astype(np.float64)
    return float((counts * np.log2(counts.sum() / counts)).sum()) if counts.size else 0.0


def damaged(why: str) -> CodecError:
    """The error for streams that do not decode."""
    return CodecError(f"a coded stream is damaged: {why}. Nothing was loaded; copy or write the file again.")
