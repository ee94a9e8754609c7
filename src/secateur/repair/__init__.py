"""What mends the kept weights after a cut."""

from secateur.repair.base import REPAIRS
from secateur.repair.batch_norm import BatchNorm
from secateur.repair.fold_constant import FoldConstant

__all__ = ["REPAIRS", "BatchNorm", "FoldConstant"]
