"""A scale for every channel learns to be zero; what has scale zero goes."""

from __future__ import annotations

from secateur.allocation import Alive
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.regularizers import SSS
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("sss")
def sss() -> Recipe:
    """Sparse structure selection.

    Paper:    Huang and Wang, *Data-Driven Sparse Structure Selection for Deep Neural Networks*, ECCV 2018.
              arXiv:1707.01213
    Reported: ResNet-50 on ImageNet, top-1 76.12 %, 4.089 G MACs -> 75.44 %, 3.473 G; 74.18 %, 2.818 G; trained from
              scratch, the same networks reach 76.17 and 74.67 %
    Differs:  channels alone, four epochs from a trained network; use SSS(over="block") with granularity layer and
              criterion block_scale for blocks. What is not zero goes too, smallest first, until the budget is met
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Channel(over="all"),
        allocation=Alive(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        sparsify=FineTune(epochs=4, lr=0.02),
        regularizer=SSS(strength=0.01),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("huang2018"),
    )
