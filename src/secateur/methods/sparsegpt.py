"""One sweep over the columns of every layer; no training."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import Recipe
from secateur.criteria import SparseGPT
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.repair import BatchNorm, SparseGPTUpdate
from secateur.schedules import OneShot


@method("sparsegpt")
def sparsegpt() -> Recipe:
    """SparseGPT at one half of the weights.

    Paper:    Frantar, Alistarh, *SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot*, ICML 2023.
              arXiv:2301.00774
    Reported: OPT-2.7B with half of its weights: perplexity 13.52, over five samples of calibration data
    Differs:  layers see the inputs of the dense network, not of the pruned layers before them; all layers are cut, the
              last one too. For another budget the criterion must be told: SparseGPT(keep=...)
    """
    return Recipe(
        criterion=SparseGPT(keep=0.5),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 units"),
        repair=(SparseGPTUpdate(), BatchNorm()),
        paper=Paper("frantar2023"),
    )
