"""What one unit is: a single weight, a channel, a residual block."""

from secateur.granularity.base import GRANULARITIES
from secateur.granularity.channel import Channel
from secateur.granularity.layer import Layer
from secateur.granularity.weight import Weight

__all__ = ["GRANULARITIES", "Channel", "Layer", "Weight"]
