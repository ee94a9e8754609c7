"""Train, prune, and train again with the learning rates of the first training."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Geometric


@method("lrr")
def lrr() -> Recipe:
    """Iterative magnitude pruning with learning-rate rewinding.

    Paper:    Renda, Frankle, Carbin, *Comparing Rewinding and Fine-tuning in Neural Network Pruning*, ICLR 2020.
              arXiv:2003.02389
    Reported: none that was checked against the paper
    Differs:  three rounds, magnitudes in means of their layers, where the paper takes 20 % of the weights in every
              round; the network comes trained, so only the retraining has the high learning rates; four epochs a round
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Global(normalize="mean"),
        schedule=Geometric(steps=3),
        budget=Budget("0.2 weights"),
        finetune=FineTune(epochs=4, lr=0.05),
        paper=Paper("renda2020"),
    )
