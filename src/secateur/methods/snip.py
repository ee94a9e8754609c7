"""Weights that the loss does not notice go at once, wherever they are."""

from __future__ import annotations

from secateur.allocation import Global
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import SNIP
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot


@method("snip")
def snip() -> Recipe:
    """Single-shot pruning of weights by connection sensitivity.

    Paper:    Lee, Ajanthan, Torr, *SNIP: Single-shot Network Pruning based on Connection Sensitivity*, ICLR 2019.
              arXiv:1810.02340
    Reported: LeNet-300-100 with 5 % of its weights left: error 1.7 -> 1.6 %; LeNet-5-Caffe with 2 % left: 0.9 -> 0.8 %
    Differs:  prunes the network that it is given, and trains it on; the paper prunes at initialisation and then trains
              in full. All calibration batches count as the paper's one mini-batch
    """
    return Recipe(
        criterion=SNIP(),
        granularity=Weight(),
        allocation=Global(normalize="none"),
        schedule=OneShot(),
        budget=Budget("0.05 weights"),
        finetune=FineTune(epochs=3, lr=0.05),
        paper=Paper("lee2019"),
    )
