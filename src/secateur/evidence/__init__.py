"""Model and data in, evidence out; one file per quantity."""

from secateur.evidence.base import COLLECTORS
from secateur.evidence.block_cosine import BlockCosine
from secateur.evidence.block_loss import BlockLoss
from secateur.evidence.block_scale import BlockScale
from secateur.evidence.channel_independence import ChannelIndependence
from secateur.evidence.collect import collect, cross_entropy
from secateur.evidence.discrimination import Discrimination
from secateur.evidence.example_gradient import ExampleGradient
from secateur.evidence.feature_rank import FeatureRank
from secateur.evidence.feature_taylor import FeatureTaylor
from secateur.evidence.fisher_diagonal import FisherDiagonal
from secateur.evidence.gate_gradient import GateGradient
from secateur.evidence.gauss_newton_diagonal import GaussNewtonDiagonal
from secateur.evidence.hessian_diagonal import HessianDiagonal
from secateur.evidence.hessian_gradient import HessianGradient
from secateur.evidence.input_absolute import InputAbsolute
from secateur.evidence.input_gram import InputGram
from secateur.evidence.input_mean import InputMean
from secateur.evidence.input_norm import InputNorm
from secateur.evidence.input_zeros import InputZeros
from secateur.evidence.mask_gradient import MaskGradient
from secateur.evidence.mean_gradient import MeanGradient
from secateur.evidence.patch_mean import PatchMean
from secateur.evidence.pooled_input import PooledInput
from secateur.evidence.squared_gradient import SquaredGradient
from secateur.evidence.synaptic_flow import SynapticFlow
from secateur.evidence.trajectory import Trajectory
from secateur.evidence.weight import Weight

__all__ = [
    "COLLECTORS",
    "BlockCosine",
    "BlockLoss",
    "BlockScale",
    "ChannelIndependence",
    "Discrimination",
    "ExampleGradient",
    "FeatureRank",
    "FeatureTaylor",
    "FisherDiagonal",
    "GateGradient",
    "GaussNewtonDiagonal",
    "HessianDiagonal",
    "HessianGradient",
    "InputAbsolute",
    "InputGram",
    "InputMean",
    "InputNorm",
    "InputZeros",
    "MaskGradient",
    "MeanGradient",
    "PatchMean",
    "PooledInput",
    "SquaredGradient",
    "SynapticFlow",
    "Trajectory",
    "Weight",
    "collect",
    "cross_entropy",
]
