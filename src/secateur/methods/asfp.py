"""As soft filter pruning, a little more after every epoch."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import Magnitude
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm, FoldConstant
from secateur.schedules import Geometric
from secateur.surgeries import Soft


@method("asfp")
def asfp() -> Recipe:
    """Asymptotic soft filter pruning.

    Paper:    He et al., *Asymptotic Soft Filter Pruning for Deep Convolutional Neural Networks*, IEEE Trans.
              Cybernetics 2019. arXiv:1808.07471
    Reported: none that was checked against the paper
    Differs:  the share that is kept falls as final ** t, where the paper fits an exponential through three points; a
              few epochs from a trained network
    """
    return Recipe(
        criterion=Magnitude(p=2),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=Geometric(),
        budget=Budget("0.5 macs"),
        sparsify=FineTune(epochs=4, lr=0.02),
        surgery=Soft(),
        repair=(FoldConstant(), BatchNorm()),
        finetune=FineTune(epochs=1, lr=0.005),
        paper=Paper("he2019asymptotic"),
    )
