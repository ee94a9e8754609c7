"""Residual blocks that hardly turn what passes through them go."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import BlockInfluence
from secateur.granularity import Layer
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("shortgpt")
def shortgpt() -> Recipe:
    """Depth pruning by block influence.

    Paper:    Men et al., *ShortGPT: Layers in Large Language Models are More Redundant Than You Expect*, 2024.
              arXiv:2403.03853
    Reported: no figure was checked at its source
    Differs:  batch-norm statistics are estimated again and the network is fine-tuned; the paper trains nothing
    """
    return Recipe(
        criterion=BlockInfluence(),
        granularity=Layer(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.75 units"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("men2024"),
    )
