"""How the kept fraction moves in time."""

from secateur.schedules.base import SCHEDULES
from secateur.schedules.cubic import Cubic
from secateur.schedules.easing import Easing
from secateur.schedules.exponential import Exponential
from secateur.schedules.geometric import Geometric
from secateur.schedules.one_shot import OneShot

__all__ = ["SCHEDULES", "Cubic", "Easing", "Exponential", "Geometric", "OneShot"]
