"""Two of every four neighbouring weights go, the smaller ones."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import NM
from secateur.methods.base import method
from secateur.schedules import OneShot


@method("n_m")
def n_m() -> Recipe:
    """Two of every four neighbouring weights stay, by magnitude.

    Paper:    Mishra et al., *Accelerating Sparse Deep Neural Networks*, 2021. arXiv:2104.08378
    Reported: no figure was checked at its source
    Differs:  fine-tuning is short, where the paper repeats the whole training. Layers whose rows do not divide by four
              stay whole, and the pattern decides how much goes, whatever the budget
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=NM(n=2, m=4),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("1 weights"),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("mishra2021"),
    )
