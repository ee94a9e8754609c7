"""Every weight gets noise of its own; what drowns in it goes."""

from __future__ import annotations

from secateur.allocation import Alive
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.regularizers import SparseVD
from secateur.schedules import OneShot


@method("sparse_vd")
def sparse_vd() -> Recipe:
    """Sparse variational dropout.

    Paper:    Molchanov, Ashukha, Vetrov, *Variational Dropout Sparsifies Deep Neural Networks*, ICML 2017.
              arXiv:1701.05369
    Reported: none that was checked against the paper
    Differs:  six epochs from a trained network, where the method needs tens; what has not drowned goes too, smallest
              first, until the budget is met
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Weight(),
        allocation=Alive(),
        schedule=OneShot(),
        budget=Budget("0.2 weights"),
        sparsify=FineTune(epochs=6, lr=0.002, optimizer="adam"),
        regularizer=SparseVD(strength=2e-5),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("molchanov2017vd"),
    )
