"""Filters with small L1 norms go, the same share of every layer, at once."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("li2017")
def li2017() -> Recipe:
    """L1-norm filter pruning, one-shot.

    Paper:    Li et al., *Pruning Filters for Efficient ConvNets*, ICLR 2017. arXiv:1608.08710
    Reported: ResNet-56 on CIFAR-10 at 27.6 % fewer MACs: error 6.96 -> 6.94 % (best test accuracy during retraining)
    Differs:  the share is uniform, where the paper chooses it per stage by sensitivity; batch-norm statistics are
              estimated again before fine-tuning; the learning rate falls along a cosine instead of staying at 0.001
    """
    return Recipe(
        criterion=Magnitude(p=1),
        granularity=Channel(over="produces"),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("li2017"),
    )
