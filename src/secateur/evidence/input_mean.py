"""What a layer receives on average, channel by channel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph, Role
from secateur.evidence.base import collector, weighted_mean


@collector("input_mean")
class InputMean(Collector):
    """Mean input of every convolution and linear layer that consumes a cuttable group.

    Shapes: weight name -> `(input channels,)`, the mean over examples and places.
    """

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Hook the consuming layers."""
        self._sums: dict[str, Tensor] = {}
        self._counts: dict[str, int] = {}
        consumers = {s.tensor for g in graph.cuttable.values() for s in g.slots_with(Role.CONSUMES)}
        layers = {}
        for name in consumers:
            owner, _, leaf = name.rpartition(".")
            module = model.get_submodule(owner)
            if leaf == "weight" and isinstance(module, nn.Linear | nn.modules.conv._ConvNd):  # noqa: SLF001
                layers[name] = module
        return self._hooked(layers)

    @contextmanager
    def _hooked(self, layers: Mapping[str, nn.Module]) -> Iterator[None]:
        def hook(name: str) -> Callable[[nn.Module, tuple[Any, ...], dict[str, Any]], None]:
            return lambda module, args, kwargs: self._see(name, module, args[0] if args else kwargs["input"])

        handles = [m.register_forward_pre_hook(hook(n), with_kwargs=True) for n, m in layers.items()]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _see(self, name: str, module: nn.Module, x: Tensor) -> None:
        x = x.detach()
        x = x.movedim(-1, 0) if isinstance(module, nn.Linear) else x.movedim(1, 0)
        flat = x.reshape(len(x), -1)
        total = flat.sum(1, dtype=torch.promote_types(x.dtype, torch.float32)).cpu()
        self._sums[name] = self._sums.get(name, torch.zeros_like(total)) + total
        self._counts[name] = self._counts.get(name, 0) + flat.shape[1]

    def update(self, step: Step) -> None:
        """The hooks have seen the batch already."""

    def result(self) -> Mapping[str, Tensor]:
        """The means by weight name."""
        return {name: total / self._counts[name] for name, total in self._sums.items()}

    merge = staticmethod(weighted_mean)
