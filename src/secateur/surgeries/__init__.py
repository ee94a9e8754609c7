"""How masks change while the network trains."""

from secateur.surgeries.adam_scaled import AdamScaled
from secateur.surgeries.base import SURGERIES
from secateur.surgeries.dynamic import Dynamic
from secateur.surgeries.gradual import Gradual
from secateur.surgeries.moving import Moving
from secateur.surgeries.rigl import RigL
from secateur.surgeries.set import SET
from secateur.surgeries.soft import Soft

__all__ = ["AdamScaled", "Dynamic", "Gradual", "Moving", "RigL", "SET", "SURGERIES", "Soft"]
