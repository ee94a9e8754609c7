"""A sparse network trains; the least weights make room where gradients are largest."""

from __future__ import annotations

from secateur.allocation import ERK
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Random
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot
from secateur.surgeries import RigL


@method("rigl")
def rigl() -> Recipe:
    """Rigging the lottery.

    Paper:    Evci et al., *Rigging the Lottery: Making All Tickets Winners*, ICML 2020. arXiv:1911.11134
    Reported: ResNet-50 on ImageNet trained five times as long, 20 % of the weights left: top-1 77.17 %; 10 %: 76.42 %
              (76.8 % dense)
    Differs:  starts from the weights of the network as it is, which may be untrained; ten epochs; masks change every 50
              steps
    """
    return Recipe(
        criterion=Random(),
        granularity=Weight(),
        allocation=ERK(),
        schedule=OneShot(),
        budget=Budget("0.2 weights"),
        sparsify=FineTune(epochs=10, lr=0.05),
        surgery=RigL(every=50),
        paper=Paper("evci2020"),
    )
