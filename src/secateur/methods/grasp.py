"""Weights without which the gradient keeps its force go at once, wherever they are."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import GraSP
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot


@method("grasp")
def grasp() -> Recipe:
    """Pruning of weights that preserves the flow of gradients.

    Paper:    Wang, Zhang, Grosse, *Picking Winning Tickets Before Training by Preserving Gradient Flow*, ICLR 2020.
              arXiv:2002.07376
    Reported: none that was checked against the paper
    Differs:  prunes the network that it is given, and trains it on; the paper prunes at initialisation and then trains
              in full
    """
    return Recipe(
        criterion=GraSP(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=OneShot(),
        budget=Budget("0.05 weights"),
        finetune=FineTune(epochs=3, lr=0.05),
        paper=Paper("wang2020"),
    )
