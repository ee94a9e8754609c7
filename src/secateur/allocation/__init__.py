"""How many units each block keeps."""

from secateur.allocation.base import ALLOCATIONS
from secateur.allocation.global_ import Global
from secateur.allocation.uniform import Uniform

__all__ = ["ALLOCATIONS", "Global", "Uniform"]
