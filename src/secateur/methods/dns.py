"""Weights that fell below a threshold go, and come back when they grow."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot
from secateur.surgeries import Dynamic


@method("dns")
def dns() -> Recipe:
    """Dynamic network surgery.

    Paper:    Guo, Yao, Chen, *Dynamic Network Surgery for Efficient DNNs*, NIPS 2016. arXiv:1608.04493
    Reported: 108x fewer parameters in LeNet-5, 17.7x in AlexNet, without loss of accuracy
    Differs:  thresholds follow from the budget, where the paper sets them per layer by hand; if more than the budget is
              alive in the end, the smallest weights go; convolutions and linear layers are pruned together; biases stay
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.1 weights"),
        sparsify=FineTune(epochs=4, lr=0.02),
        surgery=Dynamic(),
        finetune=FineTune(epochs=1, lr=0.005),
        paper=Paper("guo2016"),
    )
