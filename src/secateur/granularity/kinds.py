"""Channels of one kind: whole attention heads, positions within heads, neurons, the residual stream."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from secateur.core.contracts import Block
from secateur.core.groups import ChannelGraph, Kind
from secateur.granularity.base import granularity
from secateur.granularity.channel import Channel


@dataclass(frozen=True, kw_only=True)
class _OfKind(Channel):
    """Channels, but only of groups whose units are of one kind."""

    kind: ClassVar[Kind]

    def blocks(self, graph: ChannelGraph) -> Sequence[Block]:
        """One block per group of the kind that may be cut."""
        return [b for b in super().blocks(graph) if b.group is not None and b.group.kind is self.kind]


@granularity("head")
@dataclass(frozen=True, kw_only=True)
class Head(_OfKind):
    """Whole attention heads: queries, keys, values and the part of the output projection that reads them.

    Where several query heads share one head of keys and values (grouped-query attention), they go together. A plan
    needs a graph of heads, `trace(model, example_inputs, heads=True)`; in other graphs attention loses positions.

    Shapes: saliencies in the shape of their tensors -> scores `(heads,)`.
    """

    kind: ClassVar[Kind] = Kind.HEADS
    heads: ClassVar[bool] = True


@granularity("head_dim")
@dataclass(frozen=True, kw_only=True)
class HeadDim(_OfKind):
    """Positions within attention heads: every head gets narrower by the same positions, and the same width.

    Shapes: saliencies in the shape of their tensors -> scores `(head dim,)`, a sum over all heads.
    """

    kind: ClassVar[Kind] = Kind.HEAD_DIM


@granularity("neuron")
@dataclass(frozen=True, kw_only=True)
class Neuron(_OfKind):
    """Neurons of linear layers, such as the hidden layer of a transformer's MLP.

    Not among them: what residual blocks add to (`embedding`), and what attention reads (`head`, `head_dim`).

    Shapes: saliencies in the shape of their tensors -> scores `(neurons,)`.
    """

    kind: ClassVar[Kind] = Kind.NEURONS


@granularity("embedding")
@dataclass(frozen=True, kw_only=True)
class Embedding(_OfKind):
    """The residual stream: the width that all blocks add to, of a transformer its embedding width.

    Every layer that reads or writes the stream goes along, so a unit owns entries all over the network.

    Shapes: saliencies in the shape of their tensors -> scores `(width,)`.
    """

    kind: ClassVar[Kind] = Kind.STREAM
