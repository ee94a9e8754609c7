"""Weights are charged by a measure of how many there are, whatever their scale; small ones go."""

from __future__ import annotations

from secateur.allocation import SigmaThreshold
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.regularizers import Hoyer
from secateur.schedules import OneShot


@method("hoyer")
def hoyer() -> Recipe:
    """Training with Hoyer-square (DeepHoyer), then magnitude.

    Paper:    Yang, Wen, Li, *DeepHoyer: Learning Sparser Neural Network with Differentiable Sparsity Measures*, ICLR
              2020. arXiv:1908.09979
    Reported: none that was checked against the paper
    Differs:  three epochs from a trained network, and a cut to the budget, where the paper sets a threshold
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=SigmaThreshold(),
        schedule=OneShot(),
        budget=Budget("0.1 weights"),
        sparsify=FineTune(epochs=3, lr=0.02),
        regularizer=Hoyer(strength=1e-4),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("yang2020"),
    )
