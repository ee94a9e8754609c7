"""What one unit is: a single weight, a channel."""

from secateur.granularity.base import GRANULARITIES
from secateur.granularity.channel import Channel
from secateur.granularity.weight import Weight

__all__ = ["GRANULARITIES", "Channel", "Weight"]
