"""One weight after another goes, with everything fitted again after each; no training."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import Recipe
from secateur.criteria import ExactOBS
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.repair import BatchNorm, OBSUpdate
from secateur.schedules import OneShot


@method("exact_obs")
def exact_obs() -> Recipe:
    """ExactOBS, the pruning half of Optimal Brain Compression.

    Paper:    Frantar, Singh, Alistarh, *Optimal Brain Compression*, NeurIPS 2022. arXiv:2208.11580
    Reported: no figure here: those of the paper are of shares chosen layer by layer for a cost
    Differs:  every layer keeps the same share, where the paper searches for shares by dynamic programming; the inputs
              of a layer are those of the dense network
    """
    return Recipe(
        criterion=ExactOBS(),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 units"),
        repair=(OBSUpdate(), BatchNorm()),
        paper=Paper("frantar2022"),
    )
