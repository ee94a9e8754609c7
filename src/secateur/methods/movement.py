"""Weights that training drives towards zero go, in rounds."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Movement
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Cubic


@method("movement")
def movement() -> Recipe:
    """Movement pruning of weights.

    Paper:    Sanh, Wolf, Rush, *Movement Pruning: Adaptive Sparsity by Fine-Tuning*, NeurIPS 2020. arXiv:2005.07683
    Reported: better than magnitude with less than 15 % of the weights left, worse with more than 70 %
    Differs:  scores are gathered over one step for each calibration batch before every cut, and the mask is hard from
              then on; the paper learns scores and weights together, under a mask that follows the scores
    """
    return Recipe(
        criterion=Movement(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=Cubic(steps=5),
        budget=Budget("0.1 weights"),
        finetune=FineTune(epochs=1, lr=0.01),
        paper=Paper("sanh2020"),
    )
