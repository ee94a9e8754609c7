"""How many units each block keeps."""

from secateur.allocation.alive import Alive
from secateur.allocation.base import ALLOCATIONS
from secateur.allocation.erk import ERK
from secateur.allocation.global_ import Global
from secateur.allocation.isomorphic import Isomorphic
from secateur.allocation.lamp import LAMP
from secateur.allocation.like import Like
from secateur.allocation.sensitivity import Sensitivity
from secateur.allocation.sigma_threshold import SigmaThreshold, above
from secateur.allocation.spdy import SPDY
from secateur.allocation.uniform import Uniform

__all__ = [
    "ALLOCATIONS",
    "Alive",
    "ERK",
    "Global",
    "Isomorphic",
    "LAMP",
    "Like",
    "SPDY",
    "Sensitivity",
    "SigmaThreshold",
    "Uniform",
    "above",
]
