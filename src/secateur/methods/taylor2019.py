"""Channels whose removal would move the loss least go, in rounds, wherever they are."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Taylor
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import Geometric


@method("taylor2019")
def taylor2019() -> Recipe:
    """First-order Taylor pruning of channels.

    Paper:    Molchanov et al., *Importance Estimation for Neural Network Pruning*, CVPR 2019. arXiv:1906.10771
    Reported: ResNet-50 on ImageNet with 2.25 G of 4.09 G MACs left: top-1 76.18 -> 74.50 %
    Differs:  a few rounds of many channels instead of 100 neurons every 30 steps; scores are collected in eval mode;
              batch-norm statistics are estimated again after each cut
    """
    return Recipe(
        criterion=Taylor(),
        granularity=Channel(over="produces"),
        allocation=Global(normalize="none"),
        schedule=Geometric(steps=3),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=1, lr=0.01),
        paper=Paper("molchanov2019"),
    )
