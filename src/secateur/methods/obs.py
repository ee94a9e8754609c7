"""Layer by layer, weights go whose loss the rest of their row can make up for; the rest does, then light retraining."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import OBS
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.repair import BatchNorm, OBSUpdate
from secateur.schedules import OneShot


@method("obs")
def obs() -> Recipe:
    """Layer-wise optimal brain surgeon (L-OBS).

    Paper:    Dong et al., *Learning to Prune Deep Neural Networks via Layer-wise Optimal Brain Surgeon*, NIPS 2017.
              arXiv:1705.07565
    Reported: LeNet-300-100 with 98.5 % of its weights removed, error 2.0 %; LeNet-5-Caffe 99.0 %, 2.1 %
    Differs:  every layer keeps the same share, where the paper sets one for each by hand; weights that stay are fitted
              once for all that go, which leaves less error than updates that know of one removal each
    """
    return Recipe(
        criterion=OBS(),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.1 units"),
        repair=(OBSUpdate(), BatchNorm()),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("dong2017"),
    )
