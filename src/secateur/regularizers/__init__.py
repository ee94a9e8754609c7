"""What training is charged for."""

from secateur.regularizers.admm import ADMM
from secateur.regularizers.base import REGULARIZERS
from secateur.regularizers.bn_l1 import BNL1
from secateur.regularizers.group_lasso import GroupLasso
from secateur.regularizers.growing import Growing
from secateur.regularizers.hard_concrete import HardConcrete
from secateur.regularizers.hoyer import Hoyer
from secateur.regularizers.l1 import L1
from secateur.regularizers.l2 import L2
from secateur.regularizers.less_is_more import LessIsMore
from secateur.regularizers.proximal import Proximal
from secateur.regularizers.sparse_vd import SparseVD
from secateur.regularizers.sss import SSS

__all__ = [
    "ADMM",
    "BNL1",
    "L1",
    "L2",
    "REGULARIZERS",
    "SSS",
    "GroupLasso",
    "Growing",
    "HardConcrete",
    "Hoyer",
    "LessIsMore",
    "Proximal",
    "SparseVD",
]
