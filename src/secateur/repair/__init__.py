"""What mends the kept weights after a cut."""

from secateur.repair.base import REPAIRS
from secateur.repair.batch_norm import BatchNorm
from secateur.repair.fisher_update import FisherUpdate
from secateur.repair.fold_constant import FoldConstant
from secateur.repair.least_squares import LeastSquares
from secateur.repair.obs_update import OBSUpdate
from secateur.repair.sparsegpt_update import SparseGPTUpdate

__all__ = ["REPAIRS", "BatchNorm", "FisherUpdate", "FoldConstant", "LeastSquares", "OBSUpdate", "SparseGPTUpdate"]
