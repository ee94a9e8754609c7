"""Tensors as bit patterns and back: bits are what is stored, so NaNs, infinities and minus zero come back."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from secateur.coding.codecs.base import damaged
from secateur.core.errors import UnsupportedError

#: Numbers of types in files; never change one, only append.
DTYPES = (
    torch.float32,
    torch.float16,
    torch.bfloat16,
    torch.float64,
    torch.int64,
    torch.int32,
    torch.int16,
    torch.int8,
    torch.uint8,
    torch.bool,
    torch.complex64,
    torch.float8_e4m3fn,
    torch.float8_e5m2,
)
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def number_of(dtype: torch.dtype, name: str) -> int:
    """The number of a type in files.

    Raises:
        UnsupportedError: there is none.
    """
    if dtype not in DTYPES:
        raise UnsupportedError(
            f"tensor {name!r} is of type {dtype}, which cannot be packed. "
            f"Allowed: {', '.join(str(x).removeprefix('torch.') for x in DTYPES)}. Convert it first."
        )
    return DTYPES.index(dtype)


def patterns(tensor: Tensor) -> NDArray[np.uint64]:
    """Bits of every entry, row by row, as whole numbers."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    octets = flat.view(torch.uint8).numpy() if flat.numel() else np.zeros(0, np.uint8)
    return octets.view(_UNSIGNED[tensor.dtype.itemsize]).astype(np.uint64)


def from_octets(octets: NDArray[np.uint8], dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    """The tensor that has these bytes."""
    if dtype is torch.bool and octets.size and int(octets.max()) > 1:
        raise damaged("a truth value is neither 0 nor 1")
    if not prod(shape):
        return torch.empty(shape, dtype=dtype)
    return torch.from_numpy(octets.copy()).view(dtype).reshape(shape)


def octets_of(numbers: NDArray[np.uint64], itemsize: int) -> NDArray[np.uint8]:
    """Bytes of bit patterns."""
    return np.ascontiguousarray(numbers.astype(_UNSIGNED[itemsize])).view(np.uint8).ravel()
