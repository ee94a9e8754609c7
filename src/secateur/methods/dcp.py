"""Channels come in by how much reconstruction and auxiliary classifiers ask for them."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import FineTune, Recipe
from secateur.criteria import DCP
from secateur.granularity import Channel
from secateur.methods.base import method
from secateur.repair import BatchNorm
from secateur.schedules import OneShot


@method("dcp")
def dcp() -> Recipe:
    """Discrimination-aware channel pruning.

    Paper:    Zhuang et al., *Discrimination-aware Channel Pruning for Deep Neural Networks*, NeurIPS 2018.
              arXiv:1810.11809
    Reported: ResNet-56 on CIFAR-10 with 1.97 x fewer parameters: accuracy 93.80 %, less 0.31 points
    Differs:  all layers at once; auxiliary classifiers say which channels come in, but do not train the network.
              Weights that stay are not fitted again before fine-tuning, but batch-norm statistics are
    """
    return Recipe(
        criterion=DCP(),
        granularity=Channel(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 macs"),
        repair=(BatchNorm(),),
        finetune=FineTune(epochs=2, lr=0.01),
        paper=Paper("zhuang2018"),
    )
