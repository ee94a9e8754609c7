"""A growing charge first on all weights, then on the filters that are to go."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.regularizers import Growing
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("greg")
def greg() -> Recipe:
    """Growing regularisation, GReg-2.

    Paper:    Wang et al., *Neural Pruning via Growing Regularization*, ICLR 2021. arXiv:2012.09243
    Reported: ResNet-56 on CIFAR-10 with 2.55x fewer MACs: accuracy 93.36 -> 93.36 % (GReg-1: 93.18 %); ResNet-50 on
              ImageNet with 3.02x fewer: top-1 73.9 %
    Differs:  four epochs from a trained network, so lambda rises faster; with choose=0 the regulariser is GReg-1
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        sparsify=FineTune(epochs=4, lr=0.01),
        regularizer=Growing(delta=1e-3, every=2, choose=0.01),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("wang2021"),
    )
