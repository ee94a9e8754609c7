"""Model and data in, evidence out; one file per quantity."""

from secateur.evidence.base import COLLECTORS
from secateur.evidence.collect import collect, cross_entropy
from secateur.evidence.example_gradient import ExampleGradient
from secateur.evidence.fisher_diagonal import FisherDiagonal
from secateur.evidence.gauss_newton_diagonal import GaussNewtonDiagonal
from secateur.evidence.hessian_diagonal import HessianDiagonal
from secateur.evidence.input_gram import InputGram
from secateur.evidence.input_mean import InputMean
from secateur.evidence.input_norm import InputNorm
from secateur.evidence.mask_gradient import MaskGradient
from secateur.evidence.patch_mean import PatchMean
from secateur.evidence.squared_gradient import SquaredGradient
from secateur.evidence.weight import Weight

__all__ = [
    "COLLECTORS",
    "ExampleGradient",
    "FisherDiagonal",
    "GaussNewtonDiagonal",
    "HessianDiagonal",
    "InputGram",
    "InputMean",
    "InputNorm",
    "MaskGradient",
    "PatchMean",
    "SquaredGradient",
    "Weight",
    "collect",
    "cross_entropy",
]
