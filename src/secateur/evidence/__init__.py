"""Model and data in, evidence out; one file per quantity."""

from secateur.evidence.base import COLLECTORS
from secateur.evidence.block_cosine import BlockCosine
from secateur.evidence.block_loss import BlockLoss
from secateur.evidence.collect import collect, cross_entropy
from secateur.evidence.discrimination import Discrimination
from secateur.evidence.input_gram import InputGram
from secateur.evidence.input_mean import InputMean
from secateur.evidence.squared_gradient import SquaredGradient
from secateur.evidence.weight import Weight

__all__ = [
    "COLLECTORS",
    "BlockCosine",
    "BlockLoss",
    "Discrimination",
    "InputGram",
    "InputMean",
    "SquaredGradient",
    "Weight",
    "collect",
    "cross_entropy",
]
