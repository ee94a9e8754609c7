"""The one door to TensorLy, which an extra brings."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from secateur.core.errors import UnsupportedError


def decomposed(method: str, tensor: Tensor, **settings: Any) -> Any:
    """What a decomposition of TensorLy gives, arrays turned into tensors; the backend that its user chose stays.

    Args:
        method: a function of `tensorly.decomposition`.
        tensor: float64, on the CPU.
        settings: its further arguments.

    Raises:
        UnsupportedError: TensorLy is not installed.
    """
    try:
        import tensorly  # noqa: PLC0415  an extra
        from tensorly import decomposition  # noqa: PLC0415
    except ImportError as error:
        raise UnsupportedError(
            f"{method} needs TensorLy, which is not installed. Run pip install 'secateur[lowrank]', or choose svd or "
            "spatial, which do without it."
        ) from error
    with tensorly.backend_context("numpy", local_threadsafe=True), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Trying to compute SVD")  # of more components than a side has: it adds some
        return _tensors(getattr(decomposition, method)(tensor.numpy(), **_arrays(settings)))


def _arrays(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.numpy()
    if isinstance(value, dict):
        return {name: _arrays(x) for name, x in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_arrays(x) for x in value)
    return value


def _tensors(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(value))
    if isinstance(value, list | tuple):
        return [_tensors(x) for x in value]
    if hasattr(value, "factors"):  # a tensor in TensorLy's own form
        return [_tensors(x) for x in value]
    return value
