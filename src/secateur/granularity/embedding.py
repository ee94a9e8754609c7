"""The residual stream: the embedding width of a transformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.groups import Kind
from secateur.granularity.base import granularity
from secateur.granularity.channel import Channel


@granularity("embedding")
@dataclass(frozen=True, kw_only=True)
class Embedding(Channel):
    """The residual stream: the width that all blocks add to, of a transformer its embedding width.

    Every layer that reads or writes the stream goes along, so a unit owns entries all over the network.

    Shapes: saliencies in the shape of their tensors -> scores `(width,)`.
    """

    kind: ClassVar[Kind] = Kind.STREAM
