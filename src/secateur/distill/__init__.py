"""Distillation: what a student learns from its teacher, most often the network before it was cut."""

from secateur.distill.attention_transfer import AttentionTransfer
from secateur.distill.base import DISTILLATIONS
from secateur.distill.dkd import DKD
from secateur.distill.fitnets import FitNets
from secateur.distill.kd import KD
from secateur.distill.rkd import RKD
from secateur.distill.teaching import Asked, Distill, Lesson, taught

__all__ = [
    "DISTILLATIONS",
    "DKD",
    "KD",
    "RKD",
    "Asked",
    "AttentionTransfer",
    "Distill",
    "FitNets",
    "Lesson",
    "taught",
]
