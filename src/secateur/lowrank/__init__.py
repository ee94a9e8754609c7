"""Layers of low rank: how one layer becomes several thin ones, and how thin each may be."""

from secateur.lowrank.base import FACTORIZERS
from secateur.lowrank.cp import CP
from secateur.lowrank.factorizing import Factorized, Factors, factorize
from secateur.lowrank.low_rank_plus_sparse import LowRankPlusSparse
from secateur.lowrank.spatial import Spatial
from secateur.lowrank.svd import SVD
from secateur.lowrank.tt import TT
from secateur.lowrank.tucker2 import Tucker2
from secateur.lowrank.vbmf import Bayesian, vbmf

__all__ = [
    "CP",
    "FACTORIZERS",
    "SVD",
    "TT",
    "Bayesian",
    "Factorized",
    "Factors",
    "LowRankPlusSparse",
    "Spatial",
    "Tucker2",
    "factorize",
    "vbmf",
]
