"""Granularities: what one unit is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

from torch import Tensor

from secateur.core.groups import ChannelGraph, Group
from secateur.core.paper import Paper


@dataclass(frozen=True, slots=True)
class Block:
    """What a granularity ranks within: a group of channels, one weight tensor, or the residual blocks of a network.

    Attributes:
        name: group or tensor name, or what the granularity calls it.
        units: how many units it holds.
        tensors: the tensors whose saliencies decide about its units.
        group: the channel group, where units are channels.
        modules: the module behind each unit, where units are whole modules.
        minimum: fewest units that may stay.
        maximum: most units that may stay, where a pattern (2:4) says so; None for all.
        run: units are chosen in runs of so many neighbours, each of which keeps equally many; 0 for one run of all.
        rows: units come in so many equal parts, each in rows of the weight of its own; 1 where a unit crosses all rows.
    """

    name: str
    units: int
    tensors: tuple[str, ...]
    group: Group | None = None
    modules: tuple[str, ...] = ()
    minimum: int = 1
    maximum: int | None = None
    run: int = 0
    rows: int = 1


class Granularity(ABC):
    """Says what one unit is.

    Attributes:
        structured: whether what goes can be taken out, so that the network gets smaller.
        modular: whether units are whole modules and not channels of a group; only for structured ones.
        heads: whether it needs a graph of whole attention heads, `trace(..., heads=True)`.
    """

    paper: ClassVar[Paper | None] = None
    structured: ClassVar[bool]
    modular: ClassVar[bool] = False
    heads: ClassVar[bool] = False

    @abstractmethod
    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """Everything that may be ranked and removed."""

    def omitted(self, graph: ChannelGraph) -> Mapping[str, str]:
        """Tensors that are left whole since they do not divide into such units, and why; by default none."""
        return {}

    @abstractmethod
    def reduce(self, block: Block, saliency: Mapping[str, Tensor]) -> Tensor:
        """Entry saliencies of `block.tensors` to unit scores `(block.units,)`; ones are counted."""

    @abstractmethod
    def expand(self, graph: ChannelGraph, block: Block, keep: Tensor) -> Mapping[str, Tensor]:
        """`keep` `(block.units,)` to boolean masks in the shape of each parameter that it silences."""

    @classmethod
    def examples(cls) -> Sequence[Self]:
        """Cheap instances that the contract tests run on."""
        return [cls()]
