"""The control for global rankings: channels chosen by lot over the whole network."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Random
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("random_global")
def random_global() -> Recipe:
    """Random channels, wherever they are.

    Paper:    Blalock et al., *What is the State of Neural Network Pruning?*, MLSys 2020, Sec. 6. arXiv:2003.03033
    Reported: a control, not a method
    Differs:  nothing
    """
    return Recipe(
        criterion=Random(),
        granularity=Channel(),
        allocation=Global(normalize="none"),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("blalock2020"),
    )
