"""Weights are drawn towards their own pruned selves, then pruned and retrained."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.regularizers import ADMM
from secateur.schedules import OneShot


@method("admm")
def admm() -> Recipe:
    """ADMM weight pruning.

    Paper:    Zhang et al., *A Systematic DNN Weight Pruning Framework Using Alternating Direction Method of
              Multipliers*, ECCV 2018. arXiv:1804.03294
    Reported: LeNet-5 71.2x and AlexNet 21x fewer weights without loss of accuracy
    Differs:  every layer keeps the same share, where the paper sets it by hand; six epochs from a trained network
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.1 weights"),
        sparsify=FineTune(epochs=6, lr=0.02),
        regularizer=ADMM(rho=0.01, growth=1.5),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("zhang2018admm"),
    )
