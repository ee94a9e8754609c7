"""In every row the weights go that are small beside what they meet; no training, no update."""

from __future__ import annotations

from secateur.allocation import Uniform
from secateur.core.budget import Budget
from secateur.core.paper import Paper
from secateur.core.recipe import Recipe
from secateur.criteria import Wanda
from secateur.granularity import Weight
from secateur.methods.base import method
from secateur.schedules import OneShot


@method("wanda")
def wanda() -> Recipe:
    """Wanda at one half of the weights.

    Paper:    Sun et al., *A Simple and Effective Pruning Approach for Large Language Models*, ICLR 2024.
              arXiv:2306.11695
    Reported: LLaMA-2-7B with half of its weights: perplexity on WikiText 5.12 -> 6.42
    Differs:  layers see the inputs of the dense network, not of the pruned layers before them; all layers are cut, the
              last one too
    """
    return Recipe(
        criterion=Wanda(),
        granularity=Weight(),
        allocation=Uniform(),
        schedule=OneShot(),
        budget=Budget("0.5 units"),
        paper=Paper("sun2024"),
    )
