"""Whole filters are charged by their norms while the network trains, and then go."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.regularizers import GroupLasso
from secateur.repair import BatchNorm, FoldConstant
from secateur.schedules import OneShot


@method("ssl")
def ssl() -> Recipe:
    """Structured sparsity learning, filters.

    Paper:    Wen et al., *Learning Structured Sparsity in Deep Neural Networks*, NIPS 2016. arXiv:1608.03665
    Reported: AlexNet on ImageNet, top-1 58.70 -> 57.65 % without 17.2 % of its FLOPs, 56.00 % without 64.8 %
    Differs:  filters alone, two epochs from a trained network, then a cut to the budget; charge shapes or blocks with
              GroupLasso(groups="shape") and granularity shape or layer; a channel's mean is folded into the next bias
    """
    return Recipe(
        criterion=Magnitude(p=2),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        sparsify=FineTune(epochs=2, lr=0.02),
        regularizer=GroupLasso(strength=1e-4, groups="filter"),
        repair=(FoldConstant(), BatchNorm()),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("wen2016"),
    )
