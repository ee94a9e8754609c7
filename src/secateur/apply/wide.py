"""Float64 throughout, also where a forward pass asks for float32."""

from __future__ import annotations

from typing import Any

import torch
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only


class Wide(TorchDispatchMode):
    """Every request for float32 is answered in float64.

    Many networks take norms, softmaxes or rotations in float32 whatever their own type. In float64 that blurs the
    comparison of two networks which are one, down to the accuracy of float32.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        wide = tree_map_only(torch.dtype, _widened, (args, kwargs or {}))
        return func(*wide[0], **wide[1])


def _widened(dtype: torch.dtype) -> torch.dtype:
    return torch.float64 if dtype is torch.float32 else dtype
