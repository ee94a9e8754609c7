"""Evidence in, scores out; one file per criterion."""

from secateur.criteria.apoz import APoZ
from secateur.criteria.base import CRITERIA
from secateur.criteria.block_influence import BlockInfluence
from secateur.criteria.block_loss import BlockLoss
from secateur.criteria.block_scale import BlockScale
from secateur.criteria.bn_scale import BNScale
from secateur.criteria.chip import CHIP
from secateur.criteria.cosine import Cosine
from secateur.criteria.dcp import DCP
from secateur.criteria.entropy import Entropy
from secateur.criteria.exact_obs import ExactOBS
from secateur.criteria.fisher import Fisher
from secateur.criteria.fpgm import FPGM
from secateur.criteria.grasp import GraSP
from secateur.criteria.hrank import HRank
from secateur.criteria.lamp import LAMP
from secateur.criteria.lasso import Lasso
from secateur.criteria.li_greedy import LiGreedy
from secateur.criteria.magnitude import Magnitude
from secateur.criteria.mean_activation import MeanActivation
from secateur.criteria.movement import Movement
from secateur.criteria.obd import OBD
from secateur.criteria.obs import OBS
from secateur.criteria.obs_channel import OBSChannel
from secateur.criteria.obs_full import OBSFull
from secateur.criteria.random import Random
from secateur.criteria.snip import SNIP
from secateur.criteria.sparsegpt import SparseGPT
from secateur.criteria.synflow import SynFlow
from secateur.criteria.taylor import Taylor
from secateur.criteria.taylor2017 import Taylor2017
from secateur.criteria.taylor_gate import TaylorGate
from secateur.criteria.thinet import ThiNet
from secateur.criteria.wanda import Wanda
from secateur.criteria.woodfisher import WoodFisher

__all__ = [
    "CHIP",
    "CRITERIA",
    "DCP",
    "FPGM",
    "LAMP",
    "OBD",
    "OBS",
    "SNIP",
    "APoZ",
    "BNScale",
    "BlockInfluence",
    "BlockLoss",
    "BlockScale",
    "Cosine",
    "Entropy",
    "ExactOBS",
    "Fisher",
    "GraSP",
    "HRank",
    "Lasso",
    "LiGreedy",
    "Magnitude",
    "MeanActivation",
    "Movement",
    "OBSChannel",
    "OBSFull",
    "Random",
    "SparseGPT",
    "SynFlow",
    "Taylor",
    "Taylor2017",
    "TaylorGate",
    "ThiNet",
    "Wanda",
    "WoodFisher",
]
