"""Small weights go, more of them from large layers than from small ones."""

from __future__ import annotations

from secateur.allocation import ERK
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot


@method("erk_magnitude")
def erk_magnitude() -> Recipe:
    """Magnitude pruning of weights with Erdos-Renyi-kernel densities.

    Paper:    Evci et al., *Rigging the Lottery: Making All Tickets Winners*, ICML 2020 (densities). arXiv:1911.11134
    Reported: RigL on ResNet-50 and ImageNet with 20 % of the weights left: top-1 75.12 % with these densities, 74.60 %
              with uniform ones (76.8 % dense)
    Differs:  the densities alone: a trained network is pruned by magnitude, at once, where the paper drops and grows
              weights while it trains a sparse one
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=ERK(),
        schedule=OneShot(),
        budget=Budget("0.2 weights"),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("evci2020"),
    )
