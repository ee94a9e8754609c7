"""Which few numbers the entries of a weight may take."""

from secateur.quantizers.base import QUANTIZERS
from secateur.quantizers.bwn import BWN
from secateur.quantizers.hashed import Hashed
from secateur.quantizers.int4 import Int4
from secateur.quantizers.kmeans import KMeans
from secateur.quantizers.log2 import Log2
from secateur.quantizers.symmetric_levels import SymmetricLevels
from secateur.quantizers.ttq import TTQ
from secateur.quantizers.twn import TWN
from secateur.quantizers.uniform import Uniform

__all__ = ["BWN", "QUANTIZERS", "TTQ", "TWN", "Hashed", "Int4", "KMeans", "Log2", "SymmetricLevels", "Uniform"]
