"""What one unit is: a single weight, a channel, an attention head, a residual block."""

from secateur.granularity.base import GRANULARITIES
from secateur.granularity.channel import Channel
from secateur.granularity.embedding import Embedding
from secateur.granularity.head import Head
from secateur.granularity.head_dim import HeadDim
from secateur.granularity.layer import Layer
from secateur.granularity.neuron import Neuron
from secateur.granularity.weight import Weight

__all__ = ["GRANULARITIES", "Channel", "Embedding", "Head", "HeadDim", "Layer", "Neuron", "Weight"]
