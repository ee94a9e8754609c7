"""Neurons of linear layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from secateur.core.groups import Kind
from secateur.granularity.base import granularity
from secateur.granularity.channel import Channel


@granularity("neuron")
@dataclass(frozen=True, kw_only=True)
class Neuron(Channel):
    """Neurons of linear layers, such as the hidden layer of a transformer's MLP.

    Not among them: what residual blocks add to (`embedding`), and what attention reads (`head`, `head_dim`).

    Shapes: saliencies in the shape of their tensors -> scores `(neurons,)`.
    """

    kind: ClassVar[Kind] = Kind.NEURONS
