"""Low rank and few filters by a proximal step after every epoch; filters that are zero go."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.regularizers import LessIsMore
from secateur.repair import BatchNorm, FoldConstant
from secateur.schedules import OneShot


@method("less_is_more")
def less_is_more() -> Recipe:
    """Less is more: training towards low rank and few neurons.

    Paper:    Zhou, Alvarez, Porikli, *Less Is More: Towards Compact CNNs*, ECCV 2016
    Reported: CaffeNet on ImageNet, top-1 57.28 -> 55.60 %, top-5 80.44 -> 80.40 %, with 14 % of its parameters
    Differs:  four epochs from a trained network and a cut to the budget; that weights have low rank is not used to
              store them
    """
    return Recipe(
        criterion=Magnitude(p=2),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        sparsify=FineTune(epochs=4, lr=0.02),
        regularizer=LessIsMore(rank=1e-3, strength=1e-3),
        repair=(FoldConstant(), BatchNorm()),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("zhou2016"),
    )
