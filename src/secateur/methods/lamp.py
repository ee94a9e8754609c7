"""Weights that are small beside what their layer still has go, in rounds."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import LAMP
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Geometric


@method("lamp")
def lamp() -> Recipe:
    """Layer-adaptive magnitude pruning of weights.

    Paper:    Lee et al., *Layer-Adaptive Sparsity for the Magnitude-based Pruning*, ICLR 2021. arXiv:2010.07611
    Reported: none that was checked against the paper
    Differs:  three rounds, with less training between them
    """
    return Recipe(
        criterion=LAMP(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=Geometric(steps=3),
        budget=Budget("0.1 weights"),
        finetune=FineTune(epochs=1, lr=0.01),
        paper=Paper("lee2021"),
    )
