"""Weights that training drives towards zero go, while it does."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Movement
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Cubic
from secateur.surgeries import Moving


@method("movement")
def movement() -> Recipe:
    """Movement pruning of weights.

    Paper:    Sanh, Wolf, Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, NeurIPS 2020. arXiv:2005.07683
    Reported: better than magnitude with less than 15 % of the weights left, worse with more than 70 %
    Differs:  four epochs; scores move with the learning rate of the weights, and masks every 20 steps
    """
    return Recipe(
        criterion=Movement(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=Cubic(),
        budget=Budget("0.1 weights"),
        sparsify=FineTune(epochs=4, lr=0.02),
        surgery=Moving(every=20),
        finetune=FineTune(epochs=1, lr=0.005),
        paper=Paper("sanh2020"),
    )
