"""Units that are mostly zero go, in rounds."""

from __future__ import annotations

from secateur.allocation import SigmaThreshold
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import APoZ
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import Geometric


@method("apoz")
def apoz() -> Recipe:
    """Network trimming by the average percentage of zeros.

    Paper:    Hu et al., *Network Trimming: A Data-Driven Neuron Pruning Approach towards Efficient Deep Architectures*,
              2016. arXiv:1607.03250
    Reported: VGG-16 on ImageNet, 2.7 times fewer parameters: top-1 68.36 -> 70.17 %, top-5 88.44 -> 89.69 %
    Differs:  all layers are cut in each round, by as many standard deviations from their mean as the budget asks for;
              the paper cuts a few layers at a time, by one standard deviation. Batch-norm statistics are estimated
              again
    """
    return Recipe(
        criterion=APoZ(),
        granularity=Channel(),
        allocation=SigmaThreshold(about="mean"),
        schedule=Geometric(steps=3),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=1, lr=0.01),
        paper=Paper("hu2016"),
    )
