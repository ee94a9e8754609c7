"""Small weights go, in rounds of pruning and retraining."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Geometric


@method("han2015")
def han2015() -> Recipe:
    """Iterative magnitude pruning of single weights.

    Paper:    Han et al., *Learning both Weights and Connections*, NIPS 2015, Sec. 3. arXiv:1506.02626
    Reported: LeNet-300-100 12x fewer parameters, error 1.64 -> 1.59 %; LeNet-5 12x, 0.80 -> 0.77 %
    Differs:  every layer keeps the same share, where the paper sets a threshold of q standard deviations per layer by
              hand; no dropout
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=Geometric(steps=3),
        budget=Budget("0.0833 weights"),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("han2015"),
    )
