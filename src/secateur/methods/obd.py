"""Weights whose removal would cost least by second derivatives go, in rounds of pruning and retraining."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import OBD
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import Geometric


@method("obd")
def obd() -> Recipe:
    """Optimal brain damage.

    Paper:    LeCun, Denker, Solla, *Optimal Brain Damage*, NIPS 1989
    Reported: no figure of the paper's own for a network that others have; run again by Lee et al., 2019 (SNIP):
              LeNet-300-100 with 92.0 % of its weights removed, error 2.0 %; LeNet-5-Caffe 92.0 %, 2.7 %
    Differs:  the exact Gauss-Newton diagonal in place of the paper's recursion over layers; three rounds
    """
    return Recipe(
        criterion=OBD(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=Geometric(steps=3),
        budget=Budget("0.08 weights"),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("lecun1989"),
    )
