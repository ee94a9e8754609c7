"""What training is charged for."""

from secateur.regularizers.base import REGULARIZERS
from secateur.regularizers.bn_l1 import BNL1

__all__ = ["BNL1", "REGULARIZERS"]
