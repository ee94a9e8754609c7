"""Evidence in, scores out; one file per criterion."""

from secateur.criteria.base import CRITERIA
from secateur.criteria.block_influence import BlockInfluence
from secateur.criteria.block_loss import BlockLoss
from secateur.criteria.bn_scale import BNScale
from secateur.criteria.dcp import DCP
from secateur.criteria.fpgm import FPGM
from secateur.criteria.lasso import Lasso
from secateur.criteria.magnitude import Magnitude
from secateur.criteria.random import Random
from secateur.criteria.taylor import Taylor
from secateur.criteria.thinet import ThiNet

__all__ = [
    "CRITERIA",
    "DCP",
    "FPGM",
    "BNScale",
    "BlockInfluence",
    "BlockLoss",
    "Lasso",
    "Magnitude",
    "Random",
    "Taylor",
    "ThiNet",
]
