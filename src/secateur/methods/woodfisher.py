"""Weights go by an empirical Fisher matrix in blocks, wherever they are, at once."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import WoodFisher
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.repair import BatchNorm, FisherUpdate
from secateur.schedules import OneShot


@method("woodfisher")
def woodfisher() -> Recipe:
    """WoodFisher, in its one-shot form.

    Paper:    Singh, Alistarh, *WoodFisher: Efficient Second-Order Approximation for Neural Network Compression*,
              NeurIPS 2020. arXiv:2004.14340
    Reported: no figure of the one-shot form here; the paper's tables are of gradual pruning over 100 epochs
    Differs:  one cut instead of a gradual one; weights that stay are moved once for all that go
    """
    return Recipe(
        criterion=WoodFisher(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=OneShot(),
        budget=Budget("0.5 weights"),
        repair=(FisherUpdate(), BatchNorm()),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("singh2020"),
    )
