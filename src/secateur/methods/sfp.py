"""The smallest filters are set to zero after every epoch, and train on."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm, FoldConstant
from secateur.schedules import OneShot
from secateur.surgeries import Soft


@method("sfp")
def sfp() -> Recipe:
    """Soft filter pruning.

    Paper:    He et al., *Soft Filter Pruning for Accelerating Deep Convolutional Neural Networks*, IJCAI 2018.
              arXiv:1808.06866
    Reported: ResNet-56 on CIFAR-10 without 52.6 % of its FLOPs: accuracy 93.59 -> 92.26 % from scratch, 93.35 % from a
              trained network
    Differs:  a few epochs from a trained network; the filters that are zero at the end are taken out, statistics are
              estimated again and the rest is fine-tuned; residual streams are cut too
    """
    return Recipe(
        criterion=Magnitude(p=2),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        sparsify=FineTune(epochs=4, lr=0.02),
        surgery=Soft(),
        repair=(FoldConstant(), BatchNorm()),
        finetune=FineTune(epochs=1, lr=0.005),
        paper=Paper("he2018soft"),
    )
