"""Weights through which little flows go in a hundred rounds, without data; training comes last."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import SynFlow
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Exponential


@method("synflow")
def synflow() -> Recipe:
    """Iterative synaptic flow pruning of weights.

    Paper:    Tanaka et al., *Pruning Neural Networks without Any Data by Iteratively Conserving Synaptic Flow*, NeurIPS
              2020. arXiv:2006.05467
    Reported: none that was checked against the paper
    Differs:  prunes the network that it is given; the paper prunes at initialisation and then trains in full
    """
    return Recipe(
        criterion=SynFlow(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=Exponential(steps=100),
        budget=Budget("0.05 weights"),
        finetune=FineTune(epochs=3, lr=0.05),
        paper=Paper("tanaka2020"),
    )
