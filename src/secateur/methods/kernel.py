"""Kernels with small L1 norms go, in rounds of pruning and retraining."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Kernel
from secateur.methods.base import method
from secateur.schedules import Geometric


@method("kernel")
def kernel() -> Recipe:
    """Iterative magnitude pruning of whole kernels.

    Paper:    Mao et al., *Exploring the Granularity of Sparsity in Convolutional Neural Networks*, CVPR Workshops 2017.
              arXiv:1705.08922
    Reported: no figure was checked at its source
    Differs:  every layer keeps the same share, where the paper sets thresholds by sensitivity; linear layers stay whole
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Kernel(),
        allocation=Uniform(),
        schedule=Geometric(steps=3),
        budget=Budget("0.5 macs"),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("mao2017"),
    )
