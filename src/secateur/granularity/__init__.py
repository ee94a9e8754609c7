"""What one unit is: a single weight, a channel, an attention head, a residual block."""

from secateur.granularity.base import GRANULARITIES
from secateur.granularity.channel import Channel
from secateur.granularity.kinds import Embedding, Head, HeadDim, Neuron
from secateur.granularity.layer import Layer
from secateur.granularity.weight import Weight

__all__ = ["GRANULARITIES", "Channel", "Embedding", "Head", "HeadDim", "Layer", "Neuron", "Weight"]
