"""Filters with small L1 norms go, layer by layer: kernels that read maps already gone do not count."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import LiGreedy
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("li2017_greedy")
def li2017_greedy() -> Recipe:
    """L1-norm filter pruning, one-shot, greedy over layers.

    Paper:    Li et al., *Pruning Filters for Efficient ConvNets*, ICLR 2017, Sec. 3.2. arXiv:1608.08710
    Reported: none that was checked against the paper
    Differs:  as in li2017: the share is uniform; batch-norm statistics are estimated again before fine-tuning; the
              learning rate falls along a cosine
    """
    return Recipe(
        criterion=LiGreedy(),
        granularity=Channel(over="produces"),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("li2017"),
    )
