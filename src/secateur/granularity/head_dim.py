"""Positions within attention heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.groups import Kind
from secateur.granularity.base import granularity
from secateur.granularity.channel import Channel


@granularity("head_dim")
@dataclass(frozen=True, kw_only=True)
class HeadDim(Channel):
    """Positions within attention heads: every head gets narrower by the same positions, and the same width.

    Shapes: saliencies in the shape of their tensors -> scores `(head dim,)`, a sum over all heads.
    """

    kind: ClassVar[Kind] = Kind.HEAD_DIM
