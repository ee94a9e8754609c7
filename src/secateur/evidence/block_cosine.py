"""How much a residual block turns what passes through it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph
from secateur.evidence.base import Layer, add_, collector, weighted_mean


@collector("block_cosine")
class BlockCosine(Collector):
    """Mean cosine between what a residual block is given and what it returns, token by token or place by place.

    A vector holds the channels of one place: those that the first layer of the block reads, the last dim of tokens and
    the second of images.

    Formula: E[ x . f(x) / (|x| |f(x)|) ]; 1 where both are zero
    Shapes:  module name -> `()`, for every module that may go as a whole
    Cost:    one forward pass per batch
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the residual blocks."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        return self._watching({name: model.get_submodule(name) for name in graph.blocks})

    @contextmanager
    def _watching(self, blocks: Mapping[str, nn.Module]) -> Iterator[None]:
        handles = [module.register_forward_hook(self._hook(name)) for name, module in blocks.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, name: str) -> Callable[[nn.Module, tuple[Any, ...], Tensor], None]:
        def see(block: nn.Module, args: tuple[Any, ...], output: Tensor) -> None:
            x, y = (t.detach().to(torch.promote_types(t.dtype, torch.float32)) for t in (args[0], output))
            dim = _channels(block, x)
            sizes = x.norm(dim=dim) * y.norm(dim=dim)
            still = ((x == 0) & (y == 0)).all(dim)  # a place that is zero before and after has not been turned
            cosine = torch.where(still, 1.0, (x * y).sum(dim) / sizes.clamp_min(torch.finfo(x.dtype).tiny))
            add_(self._sums, name, cosine.double().sum().cpu())
            self._counts[name] = self._counts.get(name, 0) + cosine.numel()

        return see

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The means by module name."""
        return {name: found / self._counts[name] for name, found in self._sums.items()}

    merge = staticmethod(weighted_mean)


def _channels(block: nn.Module, x: Tensor) -> int:
    """The dim of `x` that the first layer of the block reads as channels."""
    first = next((m for m in block.modules() if isinstance(m, Layer)), None)
    places = 0 if first is None or isinstance(first, nn.Linear) else first.weight.ndim - 2
    return x.ndim - 1 - places
