"""What one unit is: a single weight or several, a channel, an attention head, a residual block."""

from secateur.granularity.base import GRANULARITIES
from secateur.granularity.block import Block
from secateur.granularity.channel import Channel
from secateur.granularity.embedding import Embedding
from secateur.granularity.head import Head
from secateur.granularity.head_dim import HeadDim
from secateur.granularity.intra_kernel import IntraKernel
from secateur.granularity.kernel import Kernel
from secateur.granularity.layer import Layer
from secateur.granularity.n_m import NM
from secateur.granularity.neuron import Neuron
from secateur.granularity.shape import Shape
from secateur.granularity.vector import Vector
from secateur.granularity.weight import Weight

__all__ = [
    "GRANULARITIES",
    "NM",
    "Block",
    "Channel",
    "Embedding",
    "Head",
    "HeadDim",
    "IntraKernel",
    "Kernel",
    "Layer",
    "Neuron",
    "Shape",
    "Vector",
    "Weight",
]
