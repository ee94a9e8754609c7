"""Filters whose maps have low rank go, the same share of every layer, at once."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import HRank
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("hrank")
def hrank() -> Recipe:
    """Filter pruning by the rank of feature maps.

    Paper:    Lin et al., *HRank: Filter Pruning using High-Rank Feature Map*, CVPR 2020. arXiv:2002.10179
    Reported: ResNet-56 on CIFAR-10: accuracy 93.17 % with 0.49 M parameters and 62.72 M MACs (the authors say that
              their rates leave out what the next layer loses)
    Differs:  the share is uniform, where the paper chooses it per layer by hand; all layers are cut at once and trained
              together for less long; batch-norm statistics are estimated again before fine-tuning
    """
    return Recipe(
        criterion=HRank(),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("lin2020"),
    )
