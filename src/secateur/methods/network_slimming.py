"""Train with an L1 charge on batch-norm scales, then cut the channels whose scale is small, wherever they are."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import BNScale
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.regularizers import BNL1
from secateur.repair import BatchNorm, FoldConstant
from secateur.schedules import OneShot


@method("network_slimming")
def network_slimming() -> Recipe:
    """Network slimming.

    Paper:    Liu et al., *Learning Efficient Convolutional Networks through Network Slimming*, ICCV 2017.
              arXiv:1708.06519
    Reported: VGG-19 on CIFAR-10 with 70 % of its channels removed: accuracy 93.77 -> 93.78 %, 20.04 M -> 2.25 M
              parameters
    Differs:  starts from a trained network and charges the scales for a few epochs, where the paper charges the whole
              training; a pruned channel's mean is folded into the next bias, and statistics are estimated again
    """
    return Recipe(
        criterion=BNScale(),
        granularity=Channel(),
        allocation=Global(normalize="none"),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        regularizer=BNL1(strength=1e-4),
        sparsify=FineTune(epochs=2, lr=0.02),
        repair=(FoldConstant(), BatchNorm()),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("liu2017"),
    )
