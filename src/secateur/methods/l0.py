"""Gates on all weights learn to be zero; what is gated off goes."""

from __future__ import annotations

from secateur.allocation import Alive
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.regularizers import HardConcrete
from secateur.schedules import OneShot


@method("l0")
def l0() -> Recipe:
    """L0 regularisation by hard concrete gates.

    Paper:    Louizos, Welling, Kingma, *Learning Sparse Neural Networks through L0 Regularization*, ICLR 2018.
              arXiv:1712.01312
    Reported: none that was checked against the paper
    Differs:  gates on single weights, which the paper puts on groups of them (`HardConcrete(over="channel")`); six
              epochs from a trained network, which are few; what is not zero goes too, smallest first, until the budget
              is met
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Alive(),
        schedule=OneShot(),
        budget=Budget("0.2 weights"),
        sparsify=FineTune(epochs=6, lr=0.002, optimizer="adam"),
        regularizer=HardConcrete(strength=1e-6),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("louizos2018"),
    )
