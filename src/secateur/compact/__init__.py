"""Compact blocks that stand in for convolutions, and start as near to them as their form allows."""

from secateur.compact.base import COMPACTS
from secateur.compact.depthwise_separable import DepthwiseSeparable
from secateur.compact.fire import Fire
from secateur.compact.ghost import Ghost
from secateur.compact.rebuilding import Rebuild, Rebuilt, rebuild
from secateur.compact.shuffle_unit import ShuffleUnit

__all__ = ["COMPACTS", "DepthwiseSeparable", "Fire", "Ghost", "Rebuild", "Rebuilt", "ShuffleUnit", "rebuild"]
