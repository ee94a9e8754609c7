"""Fibres of weights, one place of the input for all filters, are charged by their norms, and then go."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Shape
from secateur.methods.base import method
from secateur.regularizers import GroupLasso
from secateur.schedules import OneShot


@method("group_brain_damage")
def group_brain_damage() -> Recipe:
    """Group-wise brain damage.

    Paper:    Lebedev and Lempitsky, *Fast ConvNets Using Group-wise Brain Damage*, CVPR 2016. arXiv:1506.02515
    Reported: CaffeNet on ImageNet with 70 % of a layer's fibres removed: top-1 -0.11 points, with 80 % -0.43, with 90 %
              -1.13
    Differs:  all layers at once, two epochs from a trained network
    """
    return Recipe(
        criterion=Magnitude(p=2),
        granularity=Shape(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.3 weights"),
        sparsify=FineTune(epochs=2, lr=0.02),
        regularizer=GroupLasso(strength=1e-4, groups="shape"),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("lebedev2016"),
    )
