"""Channels: filters of a convolution, neurons of a linear layer, with all that must go with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from secateur.core.contracts import Block, Granularity
from secateur.core.errors import IncompatibleError
from secateur.core.groups import ChannelGraph, Group, Kind, Role, Slot
from secateur.granularity.base import granularity


@granularity("channel")
@dataclass(frozen=True, kw_only=True)
class Channel(Granularity):
    """Whole channels, with every filter, scale, bias and consumer entry that belongs to them.

    Attributes:
        over: which entries count towards a unit's score: "produces" (its filters only, as Li 2017) or "all" (every
            parameter of the group, as DepGraph).

    Shapes: saliencies in the shape of their tensors -> scores `(units,)`, a sum over entries.
    """

    over: Literal["produces", "all"] = "produces"
    structured: ClassVar[bool] = True
    kind: ClassVar[Kind | None] = None  # of subclasses: the only groups that are cut

    def __post_init__(self) -> None:
        if self.over not in ("produces", "all"):
            raise IncompatibleError(f"over must be 'produces' or 'all', got over={self.over!r}.")

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block per group that may be cut."""
        return [
            Block(g.name, g.units, tuple(dict.fromkeys(s.tensor for s in self._slots(g, graph))), g, minimum=g.minimum)
            for g in graph.cuttable.values()
            if self.kind in (None, g.kind)
        ]

    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """Sum of the entries that each unit owns."""
        assert block.group is not None
        total = torch.zeros(block.units, dtype=torch.float64)
        for slot in block.group.slots:
            if slot.tensor in saliency and slot.role in self._roles(block.group):
                values = saliency[slot.tensor].movedim(slot.dim, 0)
                per_entry = values.reshape(len(values), -1).sum(1, dtype=torch.float64)
                total += per_entry[slot.index].sum(1)
        return total

    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """Every parameter entry of a unit that goes is silenced, producers and consumers alike.

        Not so where only the direction counts: zeros have none, and the length, which is another parameter, is enough.
        """
        masks: dict[str, Tensor] = {}
        full = graph.full
        for name, by_dim in self.silenced(graph, {block.name: keep}).items():
            mask = torch.ones([a.size(full) for a in graph.tensors[name].axes], dtype=torch.bool)
            for dim, stays in by_dim.items():
                mask &= stays.view([-1 if d == dim else 1 for d in range(mask.ndim)])
            masks[name] = mask
        return masks

    def silenced(self, graph: ChannelGraph, kept: Mapping[str, Tensor]) -> dict[str, dict[int, Tensor]]:
        """The same of any number of groups, told by dims: parameter to dim to boolean entries, True = stays."""
        bare = {(s.tensor, s.dim) for name in kept for s in graph.groups[name].slots_with(Role.DIRECTS)}
        found: dict[str, dict[int, Tensor]] = {}
        for name, by_dim in graph.dim_keeps(kept).items():
            masked = {dim: stays for dim, stays in by_dim.items() if (name, dim) not in bare}
            if masked and not graph.tensors[name].buffer:
                found[name] = masked
        return found

    @classmethod
    def examples(cls) -> list[Channel]:
        """Both ways of counting."""
        return [cls(), cls(over="all")]

    def _roles(self, group: Group) -> tuple[Role, ...]:
        scored = (Role.PRODUCES, Role.SCALES, Role.SHIFTS, Role.CONSUMES)
        # A group that nothing produces (a bare parameter, say) is scored by all that it has.
        return (Role.PRODUCES,) if self.over == "produces" and group.slots_with(Role.PRODUCES) else scored

    def _slots(self, group: Group, graph: ChannelGraph) -> list[Slot]:
        slots = group.slots_with(*self._roles(group))
        return [s for s in slots if not graph.tensors[s.tensor].buffer]
