"""Channels go in the order in which the next layer misses them least."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import ThiNet
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("thinet")
def thinet() -> Recipe:
    """ThiNet.

    Paper:    Luo, Wu, Lin, *ThiNet: A Filter Level Pruning Method for Deep Neural Network Compression*, ICCV 2017.
              arXiv:1707.06342
    Reported: ResNet-50 on ImageNet with 12.38 of 25.56 M parameters left: top-1 72.88 -> 71.01 %
    Differs:  all layers at once, with the inputs of the dense network, where the paper goes from layer to layer and
              trains in between; what stays is not rescaled, but batch-norm statistics are estimated again
    """
    return Recipe(
        criterion=ThiNet(),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("luo2017"),
    )
