"""A sparse network trains; the least weights make room for others at random."""

from __future__ import annotations

from secateur.allocation import ERK
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Random
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot
from secateur.surgeries import SET


@method("set")
def set() -> Recipe:
    """Sparse evolutionary training.

    Paper:    Mocanu et al., *Scalable Training of Artificial Neural Networks with Adaptive Sparse Connectivity*, Nature
              Communications 2018. arXiv:1707.04780
    Reported: none that was checked against the paper
    Differs:  starts from the weights of the network as it is, which may be untrained; ten epochs
    """
    return Recipe(
        criterion=Random(),
        granularity=Weight(),
        allocation=ERK(kernel=False),
        schedule=OneShot(),
        budget=Budget("0.1 weights"),
        sparsify=FineTune(epochs=10, lr=0.05),
        surgery=SET(),
        paper=Paper("mocanu2018"),
    )
