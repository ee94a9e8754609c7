"""Evidence in, scores out; one file per criterion."""

from secateur.criteria.base import CRITERIA
from secateur.criteria.block_influence import BlockInfluence
from secateur.criteria.block_loss import BlockLoss
from secateur.criteria.bn_scale import BNScale
from secateur.criteria.fpgm import FPGM
from secateur.criteria.magnitude import Magnitude
from secateur.criteria.random import Random
from secateur.criteria.taylor import Taylor

__all__ = ["CRITERIA", "FPGM", "BNScale", "BlockInfluence", "BlockLoss", "Magnitude", "Random", "Taylor"]
