"""Training mode without chance: what dropout computes where it happens to drop nothing."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


class Steady(TorchDispatchMode):
    """Every draw of yes or no comes out yes, unless yes is impossible.

    Dropout draws one number for each entry, so networks of different widths draw different ones and cannot be compared;
    those for which nothing is dropped can.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it unannotated

    def __torch_dispatch__(
        self, func: OpOverload, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        packet, kwargs = func.overloadpacket, kwargs or {}
        if packet is aten.native_dropout:
            return func(args[0], 0.0, *args[2:], **kwargs)
        if packet not in (aten.bernoulli, aten.bernoulli_):
            return func(*args, **kwargs)
        where = args[0] if packet is aten.bernoulli_ else torch.empty_like(args[0])
        odds = args[1] if len(args) > 1 else kwargs.get("p", args[0] if packet is aten.bernoulli else 0.5)
        return where.copy_(odds > 0) if isinstance(odds, Tensor) else where.fill_(odds > 0)
