"""Evidence in, scores out; one file per criterion."""

from secateur.criteria.base import CRITERIA
from secateur.criteria.bn_scale import BNScale
from secateur.criteria.exact_obs import ExactOBS
from secateur.criteria.fisher import Fisher
from secateur.criteria.fpgm import FPGM
from secateur.criteria.magnitude import Magnitude
from secateur.criteria.obd import OBD
from secateur.criteria.obs import OBS
from secateur.criteria.obs_channel import OBSChannel
from secateur.criteria.obs_full import OBSFull
from secateur.criteria.random import Random
from secateur.criteria.sparsegpt import SparseGPT
from secateur.criteria.taylor import Taylor
from secateur.criteria.wanda import Wanda
from secateur.criteria.woodfisher import WoodFisher

__all__ = [
    "CRITERIA",
    "BNScale",
    "ExactOBS",
    "FPGM",
    "Fisher",
    "Magnitude",
    "OBD",
    "OBS",
    "OBSChannel",
    "OBSFull",
    "Random",
    "SparseGPT",
    "Taylor",
    "Wanda",
    "WoodFisher",
]
