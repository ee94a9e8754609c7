"""What training is charged for."""

from secateur.regularizers.base import REGULARIZERS
from secateur.regularizers.bn_l1 import BNL1
from secateur.regularizers.group_lasso import GroupLasso
from secateur.regularizers.hoyer import Hoyer
from secateur.regularizers.l1 import L1
from secateur.regularizers.l2 import L2
from secateur.regularizers.proximal import Proximal

__all__ = ["BNL1", "L1", "L2", "REGULARIZERS", "GroupLasso", "Hoyer", "Proximal"]
