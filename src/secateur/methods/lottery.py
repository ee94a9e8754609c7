"""Train, prune, set the rest back to what it was early in training, and train again."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Geometric


@method("lottery")
def lottery() -> Recipe:
    """Iterative magnitude pruning with weight rewinding.

    Paper:    Frankle et al., *Linear Mode Connectivity and the Lottery Ticket Hypothesis*, ICML 2020. arXiv:1912.05671;
              with rewind=0 that of Frankle and Carbin, *The Lottery Ticket Hypothesis*, ICLR 2019
    Reported: ResNet-50 on ImageNet, by rewinding: top-1 75.54 % with 20 % of the weights, 73.66 % with 10 % (76.14 %
              dense)
    Differs:  three rounds and four epochs, magnitudes in means of their layers, where the paper takes 20 % of the
              weights in every round and trains in full; weights go back to what they are after half an epoch; pass an
              untrained network for a ticket
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Global(normalize="mean"),
        schedule=Geometric(steps=3),
        budget=Budget("0.2 weights"),
        sparsify=FineTune(epochs=4, lr=0.05),
        rewind=0.5,
        finetune=FineTune(epochs=4, lr=0.05),
        paper=Paper("frankle2020"),
    )
