"""Feature maps whose removal would move the loss least go, in rounds, wherever they are."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Taylor2017
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import Geometric


@method("taylor2017")
def taylor2017() -> Recipe:
    """First-order Taylor pruning of feature maps.

    Paper:    Molchanov et al., *Pruning Convolutional Neural Networks for Resource Efficient Inference*, ICLR 2017.
              arXiv:1611.06440
    Reported: none that was checked against the paper
    Differs:  a few rounds of many maps instead of one map and a few steps of training at a time; scores are collected
              in eval mode, where maps are read; batch-norm statistics are estimated again after each cut
    """
    return Recipe(
        criterion=Taylor2017(),
        granularity=Channel(),
        allocation=Global(normalize="none"),
        schedule=Geometric(steps=3),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=1, lr=0.01),
        paper=Paper("molchanov2017"),
    )
