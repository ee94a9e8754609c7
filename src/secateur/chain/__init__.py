"""Steps one after another: prune, factorize, rebuild, train, quantize, code."""

from secateur.chain.base import STEPS, Given, State, Step
from secateur.chain.factorize import Factorize
from secateur.chain.int8 import Int8
from secateur.chain.order import check_order
from secateur.chain.pack import Pack
from secateur.chain.prune import Prune
from secateur.chain.quantize import Quantize
from secateur.chain.rebuild import Rebuild
from secateur.chain.running import Chained, ChainRun, Contribution, chain
from secateur.chain.train import Train

__all__ = [
    "STEPS",
    "ChainRun",
    "Chained",
    "Contribution",
    "Factorize",
    "Given",
    "Int8",
    "Pack",
    "Prune",
    "Quantize",
    "Rebuild",
    "State",
    "Step",
    "Train",
    "chain",
    "check_order",
]
