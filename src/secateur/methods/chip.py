"""Filters whose maps the others can stand in for go, the same share of every layer, at once."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import CHIP
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("chip")
def chip() -> Recipe:
    """Filter pruning by channel independence.

    Paper:    Sui et al., *CHIP: CHannel Independence-based Pruning for Compact Neural Networks*, NeurIPS 2021.
              arXiv:2110.13981
    Reported: none that was checked against the paper
    Differs:  the share is uniform, where the paper chooses it per layer; training is much shorter; batch-norm
              statistics are estimated again before fine-tuning
    """
    return Recipe(
        criterion=CHIP(),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("sui2021"),
    )
