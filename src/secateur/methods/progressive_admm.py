"""ADMM towards ever fewer weights, then partial cuts with retraining."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.regularizers import ADMM
from secateur.schedules import Geometric


@method("progressive_admm")
def progressive_admm() -> Recipe:
    """Progressive ADMM weight pruning.

    Paper:    Ye et al., *Progressive Weight Pruning of Deep Neural Networks Using ADMM*, 2018. arXiv:1810.07378
    Reported: up to 167x fewer weights on MNIST, 34x on ImageNet
    Differs:  one training whose projections keep ever less, and three cuts with retraining after it, where the paper
              alternates full trainings and cuts and carries the best three along; every layer keeps the same share
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=Geometric(steps=3),
        budget=Budget("0.05 weights"),
        sparsify=FineTune(epochs=6, lr=0.02),
        regularizer=ADMM(rho=0.01, growth=1.5),
        finetune=FineTune(epochs=1, lr=0.01),
        paper=Paper("ye2018progressive"),
    )
