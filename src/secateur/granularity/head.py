"""Whole attention heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.groups import Kind
from secateur.granularity.base import granularity
from secateur.granularity.channel import Channel


@granularity("head")
@dataclass(frozen=True, kw_only=True)
class Head(Channel):
    """Whole attention heads: queries, keys, values and the part of the output projection that reads them.

    Where several query heads share one head of keys and values (grouped-query attention), they go together. A plan
    needs a graph of heads, `trace(model, example_inputs, heads=True)`; in other graphs attention loses positions.

    Shapes: saliencies in the shape of their tensors -> scores `(heads,)`.
    """

    kind: ClassVar[Kind] = Kind.HEADS
    heads: ClassVar[bool] = True
