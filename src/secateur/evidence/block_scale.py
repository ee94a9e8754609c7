"""The scale with which a residual block adds to the stream."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn

from secateur.core.contracts import Collector, Step
from secateur.core.groups import ChannelGraph, Group, Role, is_in
from secateur.evidence.base import collector


@collector("block_scale")
class BlockScale(Collector):
    """Mean absolute scale of the last batch norm of what a residual block adds to the stream.

    That is the norm over channels of the stream which is registered last behind the layers that make them. A block
    without one has no entry.

    Formula: E_c[ |gamma_c| ]
    Shapes:  module name -> `()`, for every module that may go as a whole
    """

    wants_data: ClassVar[bool] = False

    def start(self, model: nn.Module, graph: ChannelGraph) -> AbstractContextManager[None]:
        """Look the scales up."""
        self._found: dict[str, Tensor] = {}
        for block in graph.blocks:
            scales = [name for group in graph.groups.values() for name in _scales(model, group, block)]
            if scales:
                values = [model.get_parameter(name).detach().double().cpu() for name in scales]
                self._found[block] = torch.cat(values).abs().mean()
        return nullcontext()

    def update(self, step: Step) -> None:
        """Batches say nothing about scales."""

    def result(self) -> Mapping[str, Tensor]:
        """The scales by module name."""
        return self._found

    @staticmethod
    def merge(a: Mapping[str, Tensor], b: Mapping[str, Tensor], na: int, nb: int) -> Mapping[str, Tensor]:
        """Both hold the same."""
        return a


def _scales(model: nn.Module, group: Group, block: str) -> list[str]:
    """The last scale inside `block` of a group that reaches beyond it, if it stands behind all that makes the units."""
    if all(is_in(slot.tensor, (block,)) for slot in group.slots):
        return []
    order = {name: place for place, (name, _) in enumerate(model.named_modules())}

    def inside(role: Role) -> list[str]:
        names = dict.fromkeys(slot.tensor for slot in group.slots_with(role) if is_in(slot.tensor, (block,)))
        return sorted(names, key=lambda name: order[name.rpartition(".")[0]])

    made, scaled = inside(Role.PRODUCES), inside(Role.SCALES)
    behind = made and scaled and order[scaled[-1].rpartition(".")[0]] > order[made[-1].rpartition(".")[0]]
    owner = model.get_submodule(scaled[-1].rpartition(".")[0]) if behind else None
    return scaled[-1:] if isinstance(owner, nn.modules.batchnorm._BatchNorm) else []  # noqa: SLF001  all batch norms
